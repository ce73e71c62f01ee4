/**
 * One connection to a D-Bus message bus: calls with a time and a signal, and the messages that the bus passes on. What
 * can be expected to go wrong, the loss of the connection above all, is a value. The only file that knows dbus-native.
 */

import { connect, type Socket } from "node:net";
import { createClient, type Message } from "dbus-native";

/** Why a call has no answer. After `lost`, `late` and `stopped` it is not known whether the call was carried out. */
export type Trouble =
  | { readonly kind: "lost" | "late" | "stopped"; readonly message: string }
  /** The answer is an error; `name` is its D-Bus name. */
  | { readonly kind: "refused"; readonly name: string; readonly message: string };

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly trouble: Trouble };

/** A method call. `signature` and `body` go together. */
export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

/** A signal that was received. `sender` is a unique name such as `:1.4`, which the bus itself writes. */
export interface BusSignal {
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly body: readonly unknown[];
}

export interface Bus {
  /** Calls a method and waits, at most ten seconds, for its answer. Dictionaries and variants come as plain values. */
  call<T>(call: BusCall): Promise<Answer<T>>;
  /** Has every signal that arrives from now on told to `listener`. What arrives is not checked: anybody may send some. */
  onSignal(listener: (signal: BusSignal) => void): void;
  /** Has `listener` called once when the connection has ended, or at once where it has already. */
  onLost(listener: (trouble: Trouble) => void): void;
  close(): void;
}

/** Where a bus listens, and how that is told to people. */
export interface BusPlace {
  readonly options: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly name: string;
}

const answerWithinMs = 10_000;
const largestMessageBytes = 16 * 1024 * 1024;
const daemon = "org.freedesktop.DBus";
/** The type of a message that is a signal, from the D-Bus specification. */
const signalType = 4;

/**
 * The place that an address such as `unix:path=/run/dbus/system_bus_socket` or `tcp:host=127.0.0.1,port=1234` means;
 * null where it is none of these. Addresses that start programs (`unixexec:`) are none.
 */
export function busPlace(address: string): BusPlace | null {
  const [family, rest = ""] = splitOnce(address.split(";")[0] ?? "", ":");
  const keys = new Map(rest.split(",").map((pair) => splitOnce(pair, "=")));
  const path = unescaped(keys.get("path"));
  const abstract = unescaped(keys.get("abstract"));
  if (family === "unix" && path) return { options: { path }, name: path };
  if (family === "unix" && abstract) return { options: { path: `\0${abstract}` }, name: `@${abstract}` };
  const host = unescaped(keys.get("host"));
  const port = Number(keys.get("port"));
  if (family === "tcp" && host && port > 0 && port < 65_536)
    return { options: { host, port }, name: `${host}:${port}` };
  return null;
}

/** Connects and introduces itself. `signal` ends this and every later call. */
export async function openBus(place: BusPlace, signal: AbortSignal): Promise<Answer<Bus>> {
  if (signal.aborted) return { ok: false, trouble: stopped };
  const socket = connect(place.options);
  const bus = busOver(socket, signal);
  const hello = await bus.call<string>({
    destination: daemon,
    path: "/org/freedesktop/DBus",
    interface: daemon,
    member: "Hello",
  });
  if (hello.ok) return { ok: true, value: bus };
  bus.close();
  return hello;
}

const stopped: Trouble = { kind: "stopped", message: "stopped" };

function busOver(socket: Socket, signal: AbortSignal): Bus {
  // `direct` leaves out the library's own Hello, whose failure it throws where nobody can catch it.
  const client = createClient({
    stream: socket,
    direct: true,
    authMethods: ["EXTERNAL"],
    plainValues: true,
    maxMessageSize: largestMessageBytes,
  });
  const { connection } = client;
  const listeners = new Set<(signal: BusSignal) => void>();
  const mourners = new Set<(trouble: Trouble) => void>();
  let lost: Trouble | null = null;
  const lose = (message: string) => {
    if (lost) return;
    lost = { kind: "lost", message };
    socket.destroy();
    for (const mourner of mourners) mourner(lost);
  };
  connection.on("error", (error: Error) => lose((error as NodeJS.ErrnoException).code ?? error.message));
  connection.on("end", () => lose("the connection was closed"));
  connection.on("close", () => lose("the connection was closed"));
  connection.on("handlerError", (error: Error) => lose(error.message));
  connection.on("message", (message: Message) => {
    const received = message.type === signalType ? signalOf(message) : null;
    if (received) for (const listener of listeners) listener(received);
  });
  return {
    call: async <T>(call: BusCall): Promise<Answer<T>> => {
      if (lost) return { ok: false, trouble: lost };
      if (signal.aborted) return { ok: false, trouble: stopped };
      try {
        const message = { ...call, body: call.body ? [...call.body] : undefined } as Message;
        return { ok: true, value: (await client.invoke(message, { signal, timeout: answerWithinMs })) as T };
      } catch (error) {
        return { ok: false, trouble: troubleOf(error, lost) };
      }
    },
    onSignal: (listener) => void listeners.add(listener),
    onLost: (listener) => {
      if (lost) listener(lost);
      else mourners.add(listener);
    },
    close: () => {
      listeners.clear();
      mourners.clear();
      lost ??= { kind: "lost", message: "closed by Paramedic" };
      socket.destroy();
    },
  };
}

function signalOf(message: Message): BusSignal | null {
  const { sender, path, member, body = [] } = message;
  if (!sender || !path || !message.interface || !member) return null;
  return { sender, path, interface: message.interface, member, body };
}

/** What an error of the library means. Its own errors have a `code`; an error that was answered has only a D-Bus name. */
function troubleOf(error: unknown, lost: Trouble | null): Trouble {
  const { code, dbusName, message } = error as { code?: string; dbusName?: string; message: string };
  if (code === "ABORT_ERR") return stopped;
  if (lost) return lost;
  if (code === "ECONNCLOSED") return { kind: "lost", message: "the connection was closed" };
  if (code === "ETIMEDOUT") return { kind: "late", message: `no answer within ${answerWithinMs / 1_000} s` };
  if (dbusName === undefined) throw error;
  // The bus answers in the place of one who left it with the call in hand.
  if (/\.Error\.(NoReply|Disconnected)$/.test(dbusName)) return { kind: "lost", message };
  return { kind: "refused", name: dbusName, message };
}

function splitOnce(text: string, by: string): [string, string] {
  const at = text.indexOf(by);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** The value of a key, whose unusual bytes an address writes as %XX. */
function unescaped(value: string | undefined): string {
  return (value ?? "").replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
