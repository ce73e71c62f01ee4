import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { builtProgram } from "../support/built.ts";
import { freePort } from "../support/free-port.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startSystemd, systemdService, type TestSystemd } from "../support/systemd.ts";
import { until } from "../support/until.ts";

const root = resolve(__dirname, "../..");

systemdService.describe("packaging/paramedic.service", () => {
  let systemd: TestSystemd;

  beforeAll(async () => {
    systemd = await startSystemd();
    await systemd.install({
      "paramedic.service": await readFile(join(root, "packaging/paramedic.service"), "utf8"),
    });
  });
  afterAll(() => systemd?.down());

  test("is hardened: systemd's own assessment finds little exposed", async () => {
    const { stdout } = await systemd.inside("systemd-analyze", "security", "--no-pager", "paramedic.service");
    expect(Number(/Overall exposure level[^:]*: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThan(2);
  });

  test("runs the program, which serves, migrates its database and stops in order", async () => {
    const program = join(await builtProgram(), "cli.js");
    const port = await freePort();
    // What differs from a real host: where the program lies, and its user, which nobody has made here.
    await mkdir(join(systemd.units, "paramedic.service.d"));
    await writeFile(
      join(systemd.units, "paramedic.service.d/test.conf"),
      [
        "[Service]",
        "User=daemon",
        "Group=daemon",
        "WorkingDirectory=/var/lib/paramedic",
        "ProtectHome=tmpfs",
        `BindReadOnlyPaths=${root}`,
        "Environment=ALERTMANAGER_TOKEN=a-long-random-token-1",
        `Environment=DATABASE_URL=${(await sharedPostgres()).url.replaceAll("%", "%%")}`,
        "ExecStart=",
        `ExecStart=${process.execPath} ${program} serve --config /run/paramedic.yaml --host %H`,
      ].join("\n"),
    );
    await writeFile(
      join(systemd.folder, "run/paramedic.yaml"),
      [
        `listen: 127.0.0.1:${port}`,
        "stateDir: /var/lib/paramedic",
        "alertmanager: { tokens: [{ env: ALERTMANAGER_TOKEN }] }",
        "playbooks: /run/playbooks",
        "targets: {}",
      ].join("\n"),
    );
    await mkdir(join(systemd.folder, "run/playbooks"));
    await systemd.systemctl("daemon-reload");
    await systemd.systemctl("start", "paramedic.service");
    const journal = async () =>
      (await systemd.inside("journalctl", "--quiet", "--output=cat", "--unit=paramedic.service")).stdout;
    try {
      await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, { timeoutMs: 30_000 });
    } catch (error) {
      throw new Error(await journal(), { cause: error });
    }
    await systemd.systemctl("stop", "paramedic.service");
    expect(await systemd.show("paramedic.service", "Result")).toBe("success");
    expect(await journal()).toContain("Paramedic has stopped");
  }, 90_000);
});
