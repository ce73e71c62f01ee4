/** A proxy in front of a system bus that loses the connection at a chosen call, as a bus that dies at the worst moment does. */

import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { TestSystemd } from "./systemd.ts";

export interface BusProxy {
  /** Its address, to be used in place of the bus's own. */
  readonly busAddress: string;
  /**
   * Loses every connection at the call of `member`: `before` it is passed on, or `after` it was carried out, in the place
   * of what comes back. Between the two systemd drops a call whose caller it can no longer ask about.
   */
  loseAt(member: string, when: "before" | "after"): void;
  /** Keeps the call of `member` back for good, once, with all that its connection says after it. */
  keepBack(member: string): void;
  /** Whether a call is kept back. */
  readonly keepsBack: boolean;
  /** How often connections were lost. */
  readonly losses: number;
  close(): Promise<void>;
}

/** Starts one; it passes everything on until it is told otherwise. Each `loseAt` works once. */
export async function startBusProxy(systemd: TestSystemd): Promise<BusProxy> {
  const path = join(systemd.folder, "proxy");
  const sockets = new Set<Socket>();
  let trap: { readonly member: string; readonly when: "before" | "after" } | null = null;
  let losses = 0;
  let unsaid: string | null = null;
  let keepsBack = false;
  const drop = () => {
    losses += 1;
    trap = null;
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((client) => {
    const bus = connect(systemd.busAddress.replace("unix:path=", ""));
    for (const socket of [client, bus]) {
      sockets.add(socket);
      socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
    }
    let carriedOut = false;
    client.on("data", (piece) => {
      if (unsaid !== null && piece.includes(unsaid)) {
        unsaid = null;
        keepsBack = true;
        client.pause();
        return;
      }
      if (trap !== null && piece.includes(trap.member)) {
        if (trap.when === "before") return drop();
        carriedOut = true;
      }
      bus.write(piece);
    });
    bus.on("data", (piece) => (carriedOut ? drop() : client.write(piece)));
    client.once("close", () => bus.end());
    bus.once("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    busAddress: `unix:path=${path}`,
    loseAt: (member, when) => {
      trap = { member, when };
    },
    keepBack: (member) => {
      unsaid = member;
      keepsBack = false;
    },
    get keepsBack() {
      return keepsBack;
    },
    get losses() {
      return losses;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
