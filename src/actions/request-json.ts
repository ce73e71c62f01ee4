/** One GET of a JSON document over HTTP, of bounded size and depth. */

import type { Failure } from "../domain/action.ts";
import type { Network } from "../domain/network.ts";
import { type Exchanged, exchange, largestBytes, placeOf, type Resolve } from "./exchange.ts";
import { lasting } from "./failure.ts";

const usualTimeoutMs = 10_000;
const deepestLevel = 100;

/** What a server answered. `body` of an answer that is no success is undefined where it was no JSON or too deep. */
export interface JsonAnswer {
  readonly status: "answered";
  readonly code: number;
  readonly body: unknown;
}

export interface JsonRequest {
  /** How far it may go; what the host says of itself where left out. */
  readonly network?: Network;
  /** 10 s where left out; null: until the signal aborts. */
  readonly timeoutMs?: number | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly resolve?: Resolve;
}

/**
 * Reads the JSON document at `url`, of at most 1 MiB and 100 levels of lists and objects. A redirect, a success that is
 * not such JSON, an unreachable server and an aborted signal are Failures; what a code of 400 or more means is left to
 * the caller. Reasons name origin and path, never the query or the login in the URL.
 */
export async function requestJson(
  url: URL,
  signal: AbortSignal,
  { timeoutMs = usualTimeoutMs, headers = {}, ...rest }: JsonRequest = {},
): Promise<JsonAnswer | Failure> {
  const accept = { accept: "application/json", ...headers };
  const answer = await exchange({ url, signal, method: "GET", headers: accept, timeoutMs, ...rest });
  if (answer.status === "unanswered") return answer.failure;
  const { code, body } = answer;
  const where = placeOf(url);
  if (code >= 300 && code < 400) {
    return lasting(`${where} answered ${code}, a redirect; these are not followed. Configure the final address.`);
  }
  if (body === null) return lasting(`${where} answered more than ${largestBytes / 1024 / 1024} MiB.`);
  const isSuccess = code >= 200 && code < 300;
  if (isSuccess && !isPlainJson(answer)) return lasting(`${where} answered ${code}, but not with plain JSON.`);
  const parsed = parse(body);
  if (isSuccess && parsed === undefined) return lasting(`${where} answered ${code} with malformed JSON.`);
  const tooDeep = deeperThan(parsed, deepestLevel);
  if (isSuccess && tooDeep) {
    return lasting(`${where} answered ${code} with JSON nested more than ${deepestLevel} levels deep.`);
  }
  return { status: "answered", code, body: tooDeep ? undefined : parsed };
}

/** The JSON of an answer; undefined where it is none, too large or too deep. */
export function jsonOf(answer: Exchanged): unknown {
  if (answer.body === null || !isPlainJson(answer)) return undefined;
  const parsed = parse(answer.body);
  return deeperThan(parsed, deepestLevel) ? undefined : parsed;
}

function isPlainJson({ headers }: Exchanged): boolean {
  const type = headers["content-type"] ?? "";
  const encoding = headers["content-encoding"] ?? "identity";
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
