/** Finds ports on 127.0.0.1 that nothing listens on. */

import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below those that the kernel gives to connections that go out, of which busy tests have many. */
const [first, last] = [15_000, 32_000];
const mostTried = 50;

/** A port that was free a moment ago. Whoever binds it must be ready to lose the race and ask again. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < mostTried; tried += 1) {
    const port = randomInt(first, last);
    if (await isFree(port)) return port;
  }
  throw new Error(`None of ${mostTried} ports between ${first} and ${last} was free.`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (listens) await new Promise((resolve) => server.close(resolve));
  return listens;
}
