/**
 * One GET of a JSON document over HTTP: no redirects, no proxies, a limit of size and of time, and no connection to
 * addresses that a name should never stand for.
 */

import dns from "node:dns";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { BlockList, type LookupFunction } from "node:net";
import type { Failure } from "../domain/action.ts";
import { deadlineOf } from "../domain/deadline.ts";
import { lasting, passing } from "./failure.ts";

const timeoutMs = 10_000;
const largestBytes = 1024 * 1024;
const deepestLevel = 100;

/** What a server answered. `body` of an answer that is no success is undefined where it was no JSON or too deep. */
export interface JsonAnswer {
  readonly status: "answered";
  readonly code: number;
  readonly body: unknown;
}

/** As `dns.lookup` with `all`, so that tests can stand in for a name server. */
export type Resolve = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
) => void;

/**
 * Link-local addresses (where clouds serve credentials), unspecified and multicast ones. Private addresses are
 * allowed: targets are internal, and the configuration names them. An address written in the configuration itself is
 * not resolved and so not refused.
 */
const refused = new BlockList();
refused.addSubnet("169.254.0.0", 16);
refused.addSubnet("fe80::", 10, "ipv6");
refused.addAddress("fd00:ec2::254", "ipv6");
refused.addAddress("100.100.100.200");
refused.addSubnet("0.0.0.0", 8);
refused.addAddress("::", "ipv6");
refused.addSubnet("224.0.0.0", 4);
refused.addSubnet("ff00::", 8, "ipv6");

/**
 * Reads the JSON document at `url`, of at most 1 MiB and 100 levels of lists and objects, within 10 seconds. A redirect,
 * a success that is not such JSON, an unreachable server and an aborted signal are Failures; what a code of 400 or more
 * means is left to the caller. Reasons name origin and path, never the query or the login in the URL.
 */
export async function requestJson(
  url: URL,
  signal: AbortSignal,
  resolve: Resolve = dns.lookup,
): Promise<JsonAnswer | Failure> {
  const where = placeOf(url);
  const { signal: deadline, release } = deadlineOf([signal], timeoutMs);
  try {
    const response = await get(url, deadline, resolve);
    const code = response.statusCode ?? 0;
    if (code >= 300 && code < 400) {
      response.destroy();
      return lasting(`${where} answered ${code}, a redirect; these are not followed. Configure the final address.`);
    }
    const body = await read(response);
    if (body === null) return lasting(`${where} answered more than ${largestBytes / 1024 / 1024} MiB.`);
    const isSuccess = code >= 200 && code < 300;
    if (isSuccess && !isPlainJson(response)) return lasting(`${where} answered ${code}, but not with plain JSON.`);
    const parsed = parse(body);
    if (isSuccess && parsed === undefined) return lasting(`${where} answered ${code} with malformed JSON.`);
    const tooDeep = deeperThan(parsed, deepestLevel);
    if (isSuccess && tooDeep) {
      return lasting(`${where} answered ${code} with JSON nested more than ${deepestLevel} levels deep.`);
    }
    return { status: "answered", code, body: tooDeep ? undefined : parsed };
  } catch (error) {
    if (signal.aborted) return passing(`Stopped while waiting for ${where}.`);
    if (deadline.aborted) return passing(`${where} did not answer within ${timeoutMs / 1_000} s.`);
    const code = (error as { code?: string }).code ?? "";
    if (code === "EREFUSEDADDRESS")
      return lasting(`${where}: the host name stands for an address that is not allowed.`);
    if (code === "ENOTFOUND") return passing(`${where}: the host name is unknown. Check the configured URL.`);
    if (code === "ECONNREFUSED") return passing(`${where} refused the connection. Check that it runs there.`);
    if (code !== "") return passing(`${where} cannot be reached (${code}).`);
    throw error;
  } finally {
    release();
  }
}

/** Origin and path of a URL, which may be shown to people. */
export function placeOf(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function get(url: URL, signal: AbortSignal, resolve: Resolve): Promise<IncomingMessage> {
  return new Promise((settle, reject) => {
    const { request } = url.protocol === "https:" ? https : http;
    const headers = { accept: "application/json", "user-agent": "paramedic" };
    request(url, { agent: false, headers, signal, lookup: checked(resolve) }, settle)
      .on("error", reject)
      .end();
  });
}

/** Checks the addresses that are then connected to, in one look-up: a name cannot be answered twice in two ways. */
function checked(resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      const bad = addresses.some(({ address, family }) => refused.check(address, family === 6 ? "ipv6" : "ipv4"));
      const first = addresses[0];
      if (bad || !first) {
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

function isPlainJson(response: IncomingMessage): boolean {
  const type = response.headers["content-type"] ?? "";
  const encoding = response.headers["content-encoding"] ?? "identity";
  return /^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(type) && encoding === "identity";
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Whether lists and objects are nested deeper than `levels`: JSON.parse reads any depth, JSON.stringify writes some. */
function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => deeperThan(inner, levels - 1));
}
