/** A proxy in front of a Postgres that keeps the text of every statement: what a server would interpret, without its parameters. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface StatementProxy {
  readonly port: number;
  /** In the order in which they were sent, of all connections. */
  readonly statements: readonly string[];
  stop(): Promise<void>;
}

/** Starts one on 127.0.0.1 in front of `targetPort` there. */
export async function startStatementProxy(targetPort: number): Promise<StatementProxy> {
  const statements: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    const read = reader((statement) => statements.push(statement));
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
    client.on("data", (piece: Buffer) => {
      read(piece);
      target.write(piece);
    });
    target.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    statements,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Cuts what a client sends into messages: a length, before that, but for the first one, a letter for the kind. */
function reader(tell: (statement: string) => void): (piece: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let begun = false;
  return (piece) => {
    rest = Buffer.concat([rest, piece]);
    for (;;) {
      const head = begun ? 1 : 0;
      if (rest.length < head + 4) return;
      const end = head + rest.readUInt32BE(head);
      if (rest.length < end) return;
      const [kind, body] = [begun ? rest.toString("latin1", 0, 1) : "", rest.subarray(head + 4, end)];
      begun = true;
      rest = rest.subarray(end);
      if (kind === "Q") tell(textAt(body, 0));
      // The name of the prepared statement comes first.
      if (kind === "P") tell(textAt(body, body.indexOf(0) + 1));
    }
  };
}

function textAt(body: Buffer, start: number): string {
  return body.toString("utf8", start, body.indexOf(0, start));
}
