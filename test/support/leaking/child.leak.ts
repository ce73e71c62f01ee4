/** Leaves a child process behind; run by environment.test.ts. */
import { startChild } from "../process.ts";

test("starts a process", async () => {
  await startChild("sleep", ["600"]);
});
