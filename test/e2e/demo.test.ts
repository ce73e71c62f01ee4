/** The demo that people see first, as they start it: it heals a real database and leaves nothing behind. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { builtProgram } from "../support/built.ts";
import { descendants, startNode } from "../support/process.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { until } from "../support/until.ts";

const root = join(__dirname, "../..");

async function startDemo(environment: Readonly<Record<string, string>>) {
  await builtProgram();
  const folder = await temporaryFolder("demo");
  const demo = await startNode("examples/demo/demo.mjs", [], {
    cwd: root,
    env: { PATH: process.env["PATH"], TMPDIR: folder, ...environment },
  });
  return { demo, left: () => readdir(folder) };
}

test("shows exactly the three long queries cancelled, by a run whose outcome is fixed, and ends with 0", async () => {
  const { demo, left } = await startDemo({ DEMO_EXIT: "1" });
  const { code } = await demo.exited;
  const output = demo.output();
  expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining("outcome   fixed") });
  const [, after = ""] = output.split("The patient again");
  expect(after.match(/pid \d+ .* cancelled$/gm)).toHaveLength(3);
  expect(after.match(/pid \d+ .* still (there|running)$/gm)).toHaveLength(3);
  expect(await left()).toEqual([]);
}, 120_000);

test("stops everything that it has started when it is interrupted in the middle", async () => {
  const { demo, left } = await startDemo({});
  await demo.waitForOutput("The doctor", 60_000);
  const started = descendants(demo.pid);
  expect(started.length).toBeGreaterThan(1);
  const { code } = await demo.stop("SIGINT", 60_000);
  expect(code).toBe(1);
  await until(async () => (await left()).length === 0, { what: "the demo's folder to be removed" });
  expect(started.filter((pid) => descendants(1).includes(pid))).toEqual([]);
}, 120_000);
