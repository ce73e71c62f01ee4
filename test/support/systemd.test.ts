import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isAlive } from "./process.ts";
import { startSystemd, systemdService } from "./systemd.ts";
import { installAilments } from "./systemd-units.ts";
import { until } from "./until.ts";

systemdService.describe("a systemd for tests", () => {
  const cgroups = () => {
    const tree = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/mounts", "utf8"))?.[1] ?? "";
    return readdirSync(tree).filter((name) => name === `paramedic-systemd-${own}`);
  };
  let own = 0;

  test("runs units of its own, and leaves nothing of the machine changed and nothing behind", async () => {
    const mounts = readFileSync("/proc/self/mounts", "utf8");
    const first = readFileSync("/proc/1/cgroup", "utf8");
    const self = readFileSync("/proc/self/cgroup", "utf8");
    const systemd = await startSystemd();
    own = Number(/PPid:\t(\d+)/.exec(readFileSync(`/proc/${systemd.pid}/status`, "utf8"))?.[1]);
    own = Number(/PPid:\t(\d+)/.exec(readFileSync(`/proc/${own}/status`, "utf8"))?.[1]);
    const { port } = await installAilments(systemd);
    await systemd.systemctl("start", "app.service");
    await until(async () => (await fetch(`http://127.0.0.1:${port}/health`)).status === 200);
    expect(await systemd.show("app.service", "ActiveState")).toBe("active");
    expect(readFileSync("/proc/1/cgroup", "utf8")).toBe(first);
    expect(readFileSync("/proc/self/cgroup", "utf8")).toBe(self);
    expect(cgroups()).toHaveLength(1);

    const down = systemd.down();
    // Whoever interrupts a run tells it more than once.
    const again = setInterval(() => isAlive(own) && process.kill(own, "SIGTERM"), 5);
    await down.finally(() => clearInterval(again));

    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
    expect(existsSync(systemd.folder)).toBe(false);
    expect(cgroups()).toEqual([]);
    expect(readFileSync("/proc/self/mounts", "utf8")).toBe(mounts);
    expect(readFileSync("/proc/1/cgroup", "utf8")).toBe(first);
  });
});
