import { resolve } from "node:path";
import { startChild } from "./process.ts";
import { RUN_FOLDER_VARIABLE } from "./run-folder.ts";

jest.setTimeout(60_000);

/** Runs one of the files in `leaking/` in a Jest of its own and returns its exit code and output. */
async function runJest(file: string): Promise<{ code: number | null; output: string }> {
  const root = resolve(__dirname, "../..");
  const args = ["node_modules/jest/bin/jest.js", "--testMatch", `**/leaking/${file}`, "--runInBand", "--forceExit"];
  const { [RUN_FOLDER_VARIABLE]: _ours, JEST_WORKER_ID: _worker, TEST_SUMMARY_FILE: _file, ...env } = process.env;
  const child = await startChild(process.execPath, args, { cwd: root, env });
  const { code } = await child.exited;
  return { code, output: child.output() };
}

describe("the check for what a test file leaves open", () => {
  test("fails a file that leaves a process running, names it and ends it", async () => {
    const { code, output } = await runJest("child.leak.ts");
    expect(code).toBe(1);
    const pid = Number(/This test file leaves open: the process sleep \((\d+)\)/.exec(output)?.[1]);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  test("fails a file that leaves a server", async () => {
    const { code, output } = await runJest("server.leak.ts");
    expect(code).toBe(1);
    expect(output).toMatch(/This test file leaves open: .*1 TCPServerWrap/);
  });

  test("lets a file pass that leaves nothing", async () => {
    const { code, output } = await runJest("nothing.leak.ts");
    expect(output).toContain("1 passed");
    expect(code).toBe(0);
  });
});
