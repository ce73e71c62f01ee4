/** Leaves nothing behind; run by environment.test.ts. */
import { createServer } from "node:net";

test("starts a server and closes it", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  await new Promise((resolve) => server.close(resolve));
});
