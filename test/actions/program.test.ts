import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../src/actions/program.ts";
import { builtProgram } from "../support/built.ts";
import { isAlive, killTree, startNode } from "../support/process.ts";
import { isInstalled, serviceUnless } from "../support/real-service.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { until } from "../support/until.ts";

let folder: string;

beforeAll(async () => {
  folder = await temporaryFolder("program");
});

async function script(name: string, lines: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${lines.join("\n")}\n`, { mode: 0o755 });
  return path;
}

const run = (program: string, args: readonly string[] = [], more: { readonly mortal?: true } = {}) =>
  runProgram({ program, args, folder, signal: new AbortController().signal, largestBytes: 1_000, ...more });

test.each([{}, { mortal: true } as const])("%j: its words reach it one by one, and no shell", async (more) => {
  const told = await script("tell", ["printf '<%s>' \"$@\""]);
  const words = ["a b", "$(id)", "--", "--pdeathsig", "*", ""];
  expect(await run(told, words, more)).toMatchObject({ code: 0, output: words.map((word) => `<${word}>`).join("") });
});

test.each([{}, { mortal: true } as const])("%j: one that is not there could not be started", async (more) => {
  expect(await run(join(folder, "nothing"), [], more)).toMatchObject({ unstarted: "ENOENT", code: null });
});

test.each([
  { traps: "exit 3", code: 3, endedBy: null },
  { traps: ":", code: null, endedBy: "SIGKILL" },
])("it is asked to end, and made to where it does not: %j", async ({ traps, code, endedBy }) => {
  const started = join(folder, "started");
  const slow = await script("trap", [`trap '${traps}' TERM; echo > ${started}`, "while :; do sleep 0.05; done"]);
  const stop = new AbortController();
  const ending = runProgram({
    program: slow,
    args: [],
    folder,
    signal: stop.signal,
    largestBytes: 1_000,
    graceMs: 500,
  });
  await until(() => existsSync(started), { what: "the program to start" });
  stop.abort();
  expect(await ending).toMatchObject({ code, endedBy });
  await rm(started);
});

/** What a parent runs, by its module and a call of it, given the path of a slow program. */
const mortals = [
  {
    of: "actions/program.js",
    call: "runProgram({ program: SLOW, args: [], folder: '/', signal, largestBytes: 1000, mortal: true })",
  },
  {
    of: "actions/program.js",
    call: "runProgram({ program: 'pg_dump', args: [], folder: '/', env: { PATH: FOLDER + ':/usr/bin:/bin' }, signal, largestBytes: 1000, graceMs: 1000, mortal: true })",
  },
  {
    of: "actions/postgres/client-program.js",
    call: "runClient({ url: 'postgres://127.0.0.1/x', binDir: FOLDER }, 'pg_dump', [], { database: 'x', signal })",
  },
];

const setpriv = serviceUnless(
  isInstalled("/usr/bin/setpriv")
    ? null
    : "There is no /usr/bin/setpriv (Debian: util-linux), so nothing ends with Paramedic.",
);

setpriv.describe("with setpriv", () => {
  test.each(mortals)("what is mortal ends with the process that started it: $of $call", async ({ of, call }) => {
    const dist = await builtProgram();
    const pid = join(folder, "pid");
    const slow = await script("pg_dump", [`echo $$ > ${pid}.new; mv ${pid}.new ${pid}; exec sleep 600`]);
    const parent = join(folder, "parent.mjs");
    await writeFile(
      parent,
      `import * as module from ${JSON.stringify(join(dist, of))};
     const [SLOW, FOLDER, signal] = [${JSON.stringify(slow)}, ${JSON.stringify(folder)}, new AbortController().signal];
     await module.${call};`,
    );
    const started = await startNode(parent, [], { env: { PATH: "/usr/bin:/bin" }, cwd: folder });
    const child = Number(await until(() => readFile(pid, "utf8"), { what: "the program to start" }));
    // That one process alone, as the kernel would.
    started.process.kill("SIGKILL");
    await started.exited;
    await until(() => !isAlive(child), { what: "the program to end" }).finally(() => killTree(child));
    await rm(pid);
  });
});
