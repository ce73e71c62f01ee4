/** A real SMTP server that keeps what it is given and fails on demand. */

import type { AddressInfo, Socket } from "node:net";
import { SMTPServer } from "smtp-server";

/** A mail as it came over the wire, with the envelope that it came in. */
export interface CapturedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
}

/**
 * How a server fails: `defer` and `refuse` answer the mail with 451 and 550, `quote-login` refuses it and repeats the
 * login in its answer, `hang` never answers the mail, `trickle` answers it without end, `hang-at-greeting` never greets, `reset` ends the connection.
 */
export type SmtpFailure = "defer" | "refuse" | "quote-login" | "hang" | "trickle" | "hang-at-greeting" | "reset";

export interface SmtpDouble {
  readonly port: number;
  /** With the login, which the server asks for. */
  readonly url: string;
  /** With a login that the server refuses. */
  readonly urlOfStranger: string;
  readonly mails: readonly CapturedMail[];
  /** How many connections it has seen. */
  connections(): number;
  /** Fails from now on; null: works again. */
  fail(failure: SmtpFailure | null): void;
  /** Refuses one recipient, with 550 or with 451; null: takes mail for it again. */
  refuseRecipient(address: string, code: 451 | 550 | null): void;
  stop(): Promise<void>;
}

/** Starts one on 127.0.0.1. `password` may hold any character. */
export async function startSmtpDouble({ user = "paramedic", password = "let me in" } = {}): Promise<SmtpDouble> {
  const mails: CapturedMail[] = [];
  const sockets = new Set<Socket>();
  const refused = new Map<string, 451 | 550>();
  let failure: SmtpFailure | null = null;
  let connections = 0;

  const server = new SMTPServer({
    // Its own certificate is known to nobody; the login goes in the clear, on this machine alone.
    disabledCommands: ["STARTTLS"],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 100,
    onConnect: (_session, done) => {
      if (failure !== "hang-at-greeting") done();
    },
    onAuth: (auth, _session, done) => {
      if (auth.username === user && auth.password === password) done(null, { user });
      else done(answer(535, `no login for ${auth.username} with ${auth.password}`));
    },
    onRcptTo: ({ address }, _session, done) => {
      const code = refused.get(address);
      done(code ? answer(code, `${address} is not welcome`) : null);
    },
    onData: (stream, { envelope }, done) => {
      const pieces: Buffer[] = [];
      stream.on("data", (piece: Buffer) => pieces.push(piece));
      stream.on("end", () => {
        if (failure === "hang") return;
        if (failure === "trickle") return trickle(sockets);
        if (failure === "reset") return void resetAll(sockets);
        if (failure === "defer") return done(answer(451, "try again later"));
        if (failure === "refuse") return done(answer(550, "not here\r\n250 forged"));
        if (failure === "quote-login") return done(answer(550, `${user} ${password} ${encodeURIComponent(password)}`));
        mails.push({
          from: envelope.mailFrom === false ? "" : envelope.mailFrom.address,
          to: envelope.rcptTo.map(({ address }) => address),
          raw: Buffer.concat(pieces).toString("latin1"),
        });
        return done();
      });
    },
  });
  server.on("error", () => undefined);
  server.server.on("connection", (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((listening) => {
    server.listen(0, "127.0.0.1", () => listening());
  });
  const { port } = server.server.address() as AddressInfo;
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return {
    port,
    url: `smtp://${login}@127.0.0.1:${port}`,
    urlOfStranger: `smtp://stranger:${encodeURIComponent(password)}x@127.0.0.1:${port}`,
    mails,
    connections: () => connections,
    fail: (next) => {
      failure = next;
    },
    refuseRecipient: (address, code) => {
      if (code === null) refused.delete(address);
      else refused.set(address, code);
    },
    stop: async () => {
      resetAll(sockets);
      await new Promise<void>((closed) => {
        server.close(() => closed());
      });
    },
  };
}

function answer(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** Writes the lines of an answer, each of which announces another one, until the connections are gone. */
function trickle(sockets: ReadonlySet<Socket>): void {
  const timer = setInterval(() => {
    for (const socket of sockets) socket.write("250-still thinking\r\n", () => undefined);
    if (sockets.size === 0) clearInterval(timer);
  }, 20);
}

function resetAll(sockets: ReadonlySet<Socket>): void {
  for (const socket of sockets) socket.resetAndDestroy();
}
