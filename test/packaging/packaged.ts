/** The shipped unit in a systemd for tests. What differs from a real host: where the program lies, and its user, which nobody has made here. */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { builtProgram } from "../support/built.ts";
import { freePort } from "../support/free-port.ts";
import { sharedPostgres } from "../support/postgres.ts";
import type { TestSystemd } from "../support/systemd.ts";
import { until } from "../support/until.ts";

const root = resolve(__dirname, "../..");

/** A user that every Debian has. */
export const user = "daemon";

export interface Packaged {
  readonly url: string;
  /** Starts it and waits until it serves; fails with its journal. */
  start(): Promise<void>;
  journal(): Promise<string>;
}

/** Installs it with further lines of [Service], with sections of paramedic.yaml and with playbooks. */
export async function installPackaged(
  systemd: TestSystemd,
  more: { readonly lines?: readonly string[]; readonly sections?: object; readonly playbooks?: readonly string[] } = {},
): Promise<Packaged> {
  const program = join(await builtProgram(), "cli.js");
  const url = `127.0.0.1:${await freePort()}`;
  await mkdir(join(systemd.units, "paramedic.service.d"), { recursive: true });
  await writeFile(
    join(systemd.units, "paramedic.service.d/test.conf"),
    [
      "[Service]",
      `User=${user}`,
      `Group=${user}`,
      "WorkingDirectory=/var/lib/paramedic",
      "ProtectHome=tmpfs",
      `BindReadOnlyPaths=${root}`,
      "Environment=ALERTMANAGER_TOKEN=a-long-random-token-1",
      `Environment=DATABASE_URL=${(await sharedPostgres()).url.replaceAll("%", "%%")}`,
      "ExecStart=",
      `ExecStart=${process.execPath} ${program} serve --config /run/paramedic.yaml --host %H`,
      ...(more.lines ?? []),
    ].join("\n"),
  );
  const configuration = {
    listen: url,
    stateDir: "/var/lib/paramedic",
    alertmanager: { tokens: [{ env: "ALERTMANAGER_TOKEN" }] },
    playbooks: "/run/playbooks",
    targets: {},
    ...more.sections,
  };
  // JSON is YAML.
  await writeFile(join(systemd.folder, "run/paramedic.yaml"), JSON.stringify(configuration));
  const playbooks = join(systemd.folder, "run/playbooks");
  await mkdir(playbooks, { recursive: true });
  for (const [index, text] of (more.playbooks ?? []).entries()) await writeFile(join(playbooks, `${index}.yaml`), text);
  await systemd.install({ "paramedic.service": await readFile(join(root, "packaging/paramedic.service"), "utf8") });
  const journal = async () =>
    (await systemd.inside("journalctl", "--quiet", "--output=cat", "--unit=paramedic.service")).stdout;
  return {
    url: `http://${url}`,
    journal,
    start: async () => {
      await systemd.systemctl("start", "paramedic.service");
      const isReady = async () => (await fetch(`http://${url}/readyz`).catch(() => null))?.status === 200;
      await until(isReady, { timeoutMs: 30_000 }).catch(async (error) => {
        throw new Error(await journal(), { cause: error });
      });
    },
  };
}
