/** Finds ports on 127.0.0.1 that nothing listens on. */

import { createServer } from "node:net";

/** A port that was free a moment ago. Whoever binds it must be ready to lose the race and ask again. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("The system named no port.");
  return address.port;
}
