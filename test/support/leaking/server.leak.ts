/** Leaves a server behind; run by environment.test.ts. */
import { createServer } from "node:net";

test("starts a server", async () => {
  await new Promise<void>((resolve) => {
    createServer().listen(0, "127.0.0.1", resolve);
  });
});
