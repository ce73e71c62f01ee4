import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../src/actions/program.ts";
import { builtProgram } from "../support/built.ts";
import { killTree, startNode } from "../support/process.ts";
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

(existsSync("/usr/bin/setpriv") ? test : test.skip)(
  "what is mortal ends with the process that started it",
  async () => {
    const dist = await builtProgram();
    const pid = join(folder, "pid");
    const slow = await script("slow", [`echo $$ > ${pid}.new; mv ${pid}.new ${pid}; exec sleep 600`]);
    const parent = join(folder, "parent.mjs");
    await writeFile(
      parent,
      `import { runProgram } from ${JSON.stringify(join(dist, "actions/program.js"))};
     const signal = new AbortController().signal;
     await runProgram({ program: ${JSON.stringify(slow)}, args: [], folder: "/", signal, largestBytes: 1000, mortal: true });`,
    );
    const started = await startNode(parent, [], { env: { PATH: "/usr/bin:/bin" }, cwd: folder });
    const child = (await until(() => readFile(pid, "utf8"), { what: "the program to start" })).trim();
    const isThere = () => existsSync(`/proc/${child}/exe`) && existsSync(`/proc/${child}/cmdline`);
    // That one process alone, as the kernel would.
    started.process.kill("SIGKILL");
    await started.exited;
    const endsWithIt = until(
      async () => !isThere() || (await readFile(`/proc/${child}/stat`, "utf8")).includes(") Z "),
      {
        what: "the program to end",
      },
    );
    await endsWithIt.finally(() => killTree(Number(child)));
  },
);
