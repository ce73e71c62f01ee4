/** The demo of the whole stack: a name that there is not is refused at once, and a cold cache is healed, told, and nothing left behind. */

import { chmod, mkdtemp, readFile, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtProgram } from "../support/built.ts";
import { startChild, startNode } from "../support/process.ts";
import { stackServices } from "../support/youtility3-stack.ts";
import { troubles } from "../support/youtility3-troubles.ts";

jest.setTimeout(300_000);

const root = join(__dirname, "../..");
const start = "examples/demo-youtility3/start.mjs";

async function runNode(script: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = await startNode(script, args, { cwd: root, env: { PATH: process.env["PATH"], ...env } });
  const { code } = await child.exited;
  return { code, output: child.output() };
}

test("a name that there is not is refused with 2 and the names that there are, and nothing is installed or started", async () => {
  const child = await startChild("make", ["demo-youtility3"], { cwd: root, env: { ...process.env, BREAK: "no-such" } });
  expect(await child.exited).toMatchObject({ code: 2 });
  const output = child.output();
  expect(output).toContain("There is no trouble 'no-such'.");
  const offered = [...output.matchAll(/^ {2}([a-z]+(?:-[a-z]+)+) {2}/gm)].map(([, name]) => name);
  expect(offered.toSorted()).toEqual(Object.keys(troubles).toSorted());
  expect(output).not.toContain("The stack");
});

stackServices.describe("the demo of YOUTILITY3", () => {
  test("without a name it says which one it takes", async () => {
    const { code, output } = await runNode(start, ["--check"], {});
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining("so this shows low-cache-hit-rate") });
  });

  test("stale entries are shown, noticed and healed, and people told; it ends with 0 and leaves nothing", async () => {
    await builtProgram();
    // What has just been built is not built again, since others run it.
    const compiling = await startChild("make", ["--old-file=build", "compiled"], { cwd: root });
    expect({ ...(await compiling.exited), output: compiling.output() }).toMatchObject({ code: 0 });
    // Not in the run's own folder: the path of a socket in there would be too long.
    const folder = await mkdtemp(join(tmpdir(), "demo-"));
    await chmod(folder, 0o711);
    const { code, output } = await runNode(start, [], { BREAK: "stale-cache", DEMO_EXIT: "1", TMPDIR: folder });
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining("The outcome: fixed") });
    const told = [
      /Paramedic +http:\/\/127\.0\.0\.1:\d+ /,
      /s {2}now +cached entries that are not true [1-9]/,
      /s {2}Prometheus +CacheInvalidationFailing fires: /,
      /s {2}Alertmanager +has it, and tells Paramedic/,
      /s {2}pattern +done: /,
      /s {2}outcome +fixed/,
      /cached entries that are not true +[1-9]\d* +0 /,
      /shows +the old names +the new names/,
      /mail +monitoring-alerts@youtility\.com: /,
      /status page +identified, then .*resolved: It helped/,
    ];
    expect(told.filter((one) => !one.test(output))).toEqual([]);
    await rmdir(folder);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain("paramedic-demo-");
  });
});
