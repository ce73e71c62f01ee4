/** The demo of the whole stack, by make: a name that there is not is refused at once; a cold cache is healed, and so is a bad version once two agree; it ends by itself or by Ctrl-C, and leaves nothing behind. */

import { chmod, mkdtemp, readdir, readFile, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtProgram } from "../support/built.ts";
import { type Child, startChild, startNode } from "../support/process.ts";
import { until } from "../support/until.ts";
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

/** Also where a test fails, which leaves the folder to be looked at. */
const started: Child[] = [];
afterEach(async () => {
  for (const demo of started.splice(0)) await demo.stop("SIGINT", 30_000);
});

/** `make demo-youtility3` with a folder of its own for all that it puts on disk, in a group of its own, as at a terminal. */
async function startDemo(name: string, env: Readonly<Record<string, string>> = {}) {
  await builtProgram();
  // Not in the run's own folder: the path of a socket in there would be too long.
  const folder = await mkdtemp(join(tmpdir(), "demo-"));
  await chmod(folder, 0o711);
  // What has just been built is not built again, since others run it.
  const demo = await startChild("make", ["demo-youtility3", "MAKE=make --old-file=build"], {
    cwd: root,
    detached: true,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], TMPDIR: folder, BREAK: name, ...env },
  });
  started.push(demo);
  return { demo, folder };
}

/** Every process that has come of this one, and when each was started: a number alone may be given again. */
async function descendants(pid: number): Promise<readonly string[]> {
  const all = new Map<number, { readonly parent: number; readonly started: string }>();
  for (const name of (await readdir("/proc")).filter((one) => /^\d+$/.test(one))) {
    const text = await readFile(`/proc/${name}/stat`, "utf8").catch(() => null);
    const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended.
    if (fields && fields[0] !== "Z") all.set(Number(name), { parent: Number(fields[1]), started: fields[19] ?? "" });
  }
  const found = new Set([pid]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const [one, { parent }] of all) if (found.has(parent)) found.add(one);
  }
  return [...found].map((one) => `${one} ${all.get(one)?.started}`);
}

async function expectNothingLeft(folder: string): Promise<void> {
  await rmdir(folder);
  expect(await readFile("/proc/self/mounts", "utf8")).not.toContain("paramedic-demo-");
}

/** Of these processes, those that there are still. */
async function alive(processes: readonly string[]): Promise<readonly string[]> {
  const now = await Promise.all(
    processes.map(async (one) => (await descendants(Number(one.split(" ")[0]))).includes(one)),
  );
  return processes.filter((_, index) => now[index]);
}

const missing = (told: readonly RegExp[], demo: Child) => told.filter((one) => !one.test(demo.output()));

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

  test("a cold cache is shown, noticed and healed, and people told; it ends with 0 and leaves nothing", async () => {
    const { demo, folder } = await startDemo("low-cache-hit-rate", { DEMO_EXIT: "1" });
    const { code } = await demo.exited;
    expect({ code, output: demo.output() }).toEqual({
      code: 0,
      output: expect.stringContaining("The outcome: fixed"),
    });
    const told = [
      /Paramedic +http:\/\/127\.0\.0\.1:\d+ /,
      /s {2}now +lookups in the cache that hit \d+ % \(the limit is 50 %\)/,
      /s {2}Prometheus +LowCacheHitRate fires: /,
      /s {2}Alertmanager +has it, and tells Paramedic/,
      /s {2}\w+ +done: /,
      /s {2}outcome +fixed/,
      /trees in the cache, of 500 +\d+ +500\b/,
      /mail +monitoring-alerts@youtility\.com: /,
      /status page +identified, then .*resolved: It helped/,
    ];
    expect(missing(told, demo)).toEqual([]);
    await expectNothingLeft(folder);
  });

  test("a version that fails: what two people are asked is shown, approved and done; Ctrl-C then ends every process", async () => {
    const { demo, folder } = await startDemo("high-error-rate");
    await demo.waitForOutput("Look around", 200_000);
    const told = [
      /s {2}Prometheus +HighErrorRate fires: /,
      /│ .*rollback on youtility3\?/i,
      /Nobody is asked here .*: the demo approves, in Slack, as Lea \(U0LEAD\)/,
      /Nobody is asked here .*: the demo approves, in Slack, as Dan \(U0DEPUTY\)/,
      /s {2}rollback +done: /,
      /The outcome: fixed/,
      /\/tickets\/ answers +500 +200\b/,
    ];
    expect(missing(told, demo)).toEqual([]);
    const processes = await descendants(demo.pid);
    // Make, the demo, the application in its systemd, Postgres, Redis, Prometheus, Alertmanager and Paramedic, at least.
    expect(processes.length).toBeGreaterThan(10);
    process.kill(-demo.pid, "SIGINT");
    await demo.exited;
    expect(demo.output()).toContain("Stopping everything that was started");
    await until(async () => (await alive(processes)).length === 0, {
      timeoutMs: 20_000,
      what: "every process to have ended",
    });
    await expectNothingLeft(folder);
  });
});
