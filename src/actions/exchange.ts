/**
 * One HTTP request and its whole answer: no redirects, no proxies, limits of size and time, and a connection only to an
 * address that was resolved once, checked, and lies in a network that is allowed.
 */

import dns from "node:dns";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import type { Failure } from "../domain/action.ts";
import { deadlineOf } from "../domain/deadline.ts";
import { isAddress, mayReach, type Network, reachOf, reachOfHost } from "../domain/network.ts";
import { lasting, passing } from "./failure.ts";

/** The largest answer that is read. */
export const largestBytes = 1024 * 1024;

/** As `dns.lookup` with `all`, so that tests can stand in for a name server. */
export type Resolve = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
) => void;

export interface Outgoing {
  readonly url: URL;
  readonly signal: AbortSignal;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Only the code and the headers count: of the answer's body, which may be of any length, nothing is read. */
  readonly bodiless?: true;
  /** How far it may go; what the host says of itself where left out. */
  readonly network?: Network;
  /** Null: until the signal aborts. */
  readonly timeoutMs: number | null;
  readonly resolve?: Resolve;
}

/** What came back. `body` is null where it is larger than allowed; that of a redirect and of a `bodiless` request is not read. */
export interface Exchanged {
  readonly status: "exchanged";
  readonly code: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer | null;
}

/** No whole answer came. `sent`: the server was reached, and may have done what was asked. */
export interface Unanswered {
  readonly status: "unanswered";
  readonly failure: Failure;
  readonly sent: boolean;
}

/** Sends the request and reads the answer. Reasons name origin and path, never the query or the login in the URL. */
export async function exchange(outgoing: Outgoing): Promise<Exchanged | Unanswered> {
  const { url, signal, timeoutMs } = outgoing;
  const where = placeOf(url);
  const network = outgoing.network ?? networkOf(url);
  const host = url.hostname;
  if (isAddress(host) && !mayReach(network, reachOfHost(host))) {
    return { status: "unanswered", failure: refusal(where, network), sent: false };
  }
  const { signal: deadline, release } = deadlineOf([signal], timeoutMs);
  let sent = false;
  const reached = () => {
    sent = true;
  };
  try {
    const response = await send(outgoing, deadline, pinned(outgoing.resolve ?? dns.lookup, network), reached);
    const code = response.statusCode ?? 0;
    const { headers } = response;
    const isRedirect = code >= 300 && code < 400;
    if (!isRedirect && !outgoing.bodiless) return { status: "exchanged", code, headers, body: await read(response) };
    response.destroy();
    return { status: "exchanged", code, headers, body: Buffer.alloc(0) };
  } catch (error) {
    const failure = failureOf(error, { where, network, signal, deadline, timeoutMs });
    return { status: "unanswered", failure, sent };
  } finally {
    release();
  }
}

/** Origin and path of a URL, which may be shown to people. */
export function placeOf(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** Whoever configured an address or a name that is plainly private meant it; other names lead to the internet. */
function networkOf(url: URL): Network {
  return reachOfHost(url.hostname) === "private" ? "private" : "public";
}

function refusal(where: string, network: Network): Failure {
  const say = network === "public" ? " If the target is on a private network, configure http.network: private." : "";
  return lasting(`${where}: the host stands for an address that is not allowed (network: ${network}).${say}`);
}

function send(
  { url, method, headers, body }: Outgoing,
  signal: AbortSignal,
  lookup: LookupFunction,
  reached: () => void,
): Promise<IncomingMessage> {
  return new Promise((settle, reject) => {
    const { request } = url.protocol === "https:" ? https : http;
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const options = {
      agent: false,
      method,
      signal,
      lookup,
      headers: { ...headers, "user-agent": "paramedic", ...length },
    };
    const outgoing = request(url, options, settle);
    outgoing.on("error", reject);
    outgoing.on("socket", (socket) => socket.once(url.protocol === "https:" ? "secureConnect" : "connect", reached));
    outgoing.end(body);
  });
}

/** Checks the addresses that are then connected to, in one look-up: a name cannot be answered twice in two ways. */
function pinned(resolve: Resolve, network: Network): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      const first = addresses[0];
      if (!first || !addresses.every(({ address }) => mayReach(network, reachOf(address)))) {
        return callback(Object.assign(new Error("refused address"), { code: "EREFUSEDADDRESS" }), []);
      }
      if (options.all) return callback(null, addresses);
      return callback(null, first.address, first.family);
    });
  };
}

/** The whole body, or null where it is larger than allowed. */
async function read(response: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

interface Around {
  readonly where: string;
  readonly network: Network;
  readonly signal: AbortSignal;
  readonly deadline: AbortSignal;
  readonly timeoutMs: number | null;
}

function failureOf(error: unknown, { where, network, signal, deadline, timeoutMs }: Around): Failure {
  if (signal.aborted && (signal.reason as Error | undefined)?.name === "TimeoutError") {
    return passing(`${where} did not answer within the time of the step.`);
  }
  if (signal.aborted) return passing(`Stopped while waiting for ${where}.`);
  if (deadline.aborted) return passing(`${where} did not answer within ${(timeoutMs ?? 0) / 1_000} s.`);
  const code = (error as { code?: string }).code ?? "";
  if (code === "EREFUSEDADDRESS") return refusal(where, network);
  if (code === "ENOTFOUND") return passing(`${where}: the host name is unknown. Check the configured URL.`);
  if (code === "ECONNREFUSED") return passing(`${where} refused the connection. Check that it runs there.`);
  if (code !== "") return passing(`${where} cannot be reached (${code}).`);
  throw error;
}
