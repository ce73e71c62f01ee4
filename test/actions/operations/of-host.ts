/** One operation for each change of a host: its units, its files and its checkout. */

import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "../../support/run-folder.ts";
import { serviceUnit } from "../../support/systemd-units.ts";
import { createRepository } from "../deploy/repository.ts";
import type { UnitWard } from "../systemd/unit-ward.ts";
import type { Make } from "./operation.ts";

export function hostOperations(ward: UnitWard): Readonly<Record<string, Make>> {
  const { systemd } = ward;

  async function runningUnit(name: string, lines: readonly string[] = []): Promise<string> {
    const unit = `${name}.service`;
    await systemd.install({ [unit]: serviceUnit("/bin/sleep infinity", lines) });
    await systemd.systemctl("start", unit);
    return unit;
  }

  return {
    "systemd.restart": async (name) => {
      const unit = await runningUnit(name);
      return {
        target: { systemd: { units: [unit], settle: "1s", journal: systemd.journal } },
        with: { unit },
        whole: 1,
        effects: async () => (await ward.starts(unit)) - 1,
      };
    },

    "systemd.set-environment": async (name) => {
      const unit = await runningUnit(name, ["Environment=MODE=full"]);
      return {
        target: { systemd: { units: [unit], environment: { [unit]: ["MODE"] } } },
        with: { unit, variables: { MODE: "bare" } },
        whole: 1,
        effects: async () => {
          const mode = await systemd.show(unit, "Environment");
          if (mode === "MODE=full") return 0;
          expect(mode).toBe("MODE=bare");
          return 1;
        },
      };
    },

    "files.delete-old": async (name) => {
      const folder = join(await temporaryFolder("logs"), name);
      await mkdir(folder);
      const old = ["shop.log.1", "shop.log.2", "shop.log.3"];
      for (const file of [...old, "shop.log", "shop.log.0"]) await writeFile(join(folder, file), "a line\n");
      const longAgo = new Date(Date.now() - 40 * 86_400_000);
      for (const file of old) await utimes(join(folder, file), longAgo, longAgo);
      return {
        target: { files: { folders: [folder] } },
        with: { folder, pattern: "shop.log.*", olderThanDays: 30 },
        whole: old.length,
        effects: async () => {
          const left = await readdir(folder);
          expect(left).toEqual(expect.arrayContaining(["shop.log", "shop.log.0"]));
          return old.filter((file) => !left.includes(file)).length;
        },
      };
    },

    "deploy.rollback": async (name) => {
      const unit = await runningUnit(name);
      const { commit, folder, git } = await createRepository(join(await temporaryFolder("checkout"), name));
      const before = await commit("one", { "requirements.txt": "django==4\n" }, "v1");
      await commit("two", { "requirements.txt": "django==5\n" }, "v2");
      const program = join(await temporaryFolder("programs"), "install");
      await writeFile(program, `#!/bin/sh\necho installed >> ${program}.told\n`, { mode: 0o755 });
      const installed = async () => (await readFile(`${program}.told`, "utf8").catch(() => "")).split("\n").length - 1;
      return {
        target: {
          systemd: { units: [unit], settle: "1s", journal: systemd.journal },
          deploy: { checkout: folder, tags: "v*", dependencies: [program], restart: [unit] },
        },
        with: {},
        whole: 3,
        effects: async () => {
          const checkedOut = (await git("rev-parse", "HEAD")) === before ? 1 : 0;
          return checkedOut + (await installed()) + (await ward.starts(unit)) - 1;
        },
      };
    },
  };
}
