/** A real systemd for tests, as PID 1 of namespaces of its own (systemd-up.sh), with units to restart, break and listen to. */

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Child, startChild } from "./process.ts";
import { isInstalled, type RealService, serviceUnless } from "./real-service.ts";
import { temporaryFolder } from "./run-folder.ts";

/** From the project's own folder, where tests and benchmarks run. */
const script = "test/support/systemd-up.sh";

const needed = ["systemctl", "dbus-daemon", "busctl", "journalctl", "pkaction", "unshare", "nsenter", "setsid"];

/** For `describe`: root, cgroup2 and Debian's systemd, dbus and polkitd are needed. */
export const systemdService: RealService = serviceUnless(problem());

/** What a program that ran inside has written. */
export interface Written {
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestSystemd {
  /** The address of its system bus, for use from outside. */
  readonly busAddress: string;
  /** Its first process, as the machine numbers it. */
  readonly pid: number;
  readonly folder: string;
  /** Its /etc/systemd/system, /run/systemd/system, /etc/polkit-1/rules.d and journal, as paths outside. */
  readonly units: string;
  readonly runUnits: string;
  readonly rules: string;
  readonly journal: string;
  /** Writes unit files by name and reloads. */
  install(units: Readonly<Record<string, string>>): Promise<void>;
  /** Runs a program inside; fails where it exits with another code than 0. */
  inside(command: string, ...args: readonly string[]): Promise<Written>;
  /** `systemctl` inside; returns what it printed. */
  systemctl(...args: readonly string[]): Promise<string>;
  /** One property of a unit, as `systemctl show` prints it. */
  show(unit: string, property: string): Promise<string>;
  /** Ends everything in it and removes its files. */
  down(): Promise<void>;
}

/** Starts one; it is ready within about half a second. */
export async function startSystemd(): Promise<TestSystemd> {
  const folder = await temporaryFolder("systemd");
  const child = await startChild("/bin/bash", [resolve(script), folder], {
    name: "systemd-up.sh",
    stdio: ["pipe", "pipe", "pipe"],
  });
  const ready = /^ready (\d+)$/m.exec(await child.waitForOutput(/^ready \d+$/m, 30_000));
  return systemdOf(child, folder, Number(ready?.[1]));
}

function systemdOf(child: Child, folder: string, pid: number): TestSystemd {
  const run = promisify(execFile);
  const units = join(folder, "units");
  const inside: TestSystemd["inside"] = async (command, ...args) => {
    const into = ["--target", String(pid), "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--", command, ...args];
    return await run("nsenter", into, { timeout: 60_000, env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } });
  };
  const systemctl: TestSystemd["systemctl"] = async (...args) => (await inside("systemctl", ...args)).stdout.trim();
  return {
    busAddress: `unix:path=${join(folder, "run/dbus/system_bus_socket")}`,
    pid,
    folder,
    units,
    runUnits: join(folder, "run/systemd/system"),
    rules: join(folder, "rules"),
    journal: join(folder, "run/log/journal"),
    install: async (files) => {
      for (const [name, text] of Object.entries(files)) await writeFile(join(units, name), text);
      await systemctl("daemon-reload");
    },
    inside,
    systemctl,
    show: async (unit, property) => await systemctl("show", "--value", `--property=${property}`, "--", unit),
    down: async () => {
      const { code } = await child.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      if (code !== 0) throw new Error(`systemd-up.sh ended with ${code}: ${child.output()}`);
    },
  };
}

function problem(): string | null {
  const missing = needed.filter((command) => !isInstalled(command));
  if (missing.length > 0) {
    return `systemd (Debian: systemd dbus polkitd) is not installed: there is no ${missing.join(", ")}. Run scripts/test-deps.sh.`;
  }
  if (!existsSync("/lib/systemd/systemd")) return "There is no /lib/systemd/systemd. Run scripts/test-deps.sh.";
  if (process.getuid?.() !== 0) return "A systemd of one's own needs root. Run the tests as root.";
  if (!readFileSync("/proc/mounts", "utf8").includes(" cgroup2 ")) {
    return "A systemd of one's own needs a mounted cgroup2 file system.";
  }
  return null;
}
