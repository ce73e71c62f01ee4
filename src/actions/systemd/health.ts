/** Whether a target's health path answers well: any 2xx, no redirects, only at an address that `http.*` may connect to. */

import type { Target } from "../../domain/target.ts";
import { exchange, type Resolve } from "../exchange.ts";
import { urlBelow } from "../url-below.ts";

const timeoutMs = 2_000;

/** How a health path answered. */
export interface Health {
  readonly well: boolean;
  /** For people: `/health/ answered 503`. */
  readonly words: string;
}

/** Asks the target's health path once; null where it has none. `resolve` is another name server, for tests. */
export async function askHealth(target: Target, signal: AbortSignal, resolve?: Resolve): Promise<Health | null> {
  const { http } = target;
  if (http?.healthPath === undefined) return null;
  const url = urlBelow(http.baseUrl, http.healthPath);
  if (!url) return { well: false, words: "http.healthPath is no plain path below http.baseUrl" };
  const answer = await exchange({
    url,
    signal,
    method: "GET",
    headers: {},
    bodiless: true,
    timeoutMs,
    ...(http.network && { network: http.network }),
    ...(resolve && { resolve }),
  });
  if (answer.status === "unanswered") return { well: false, words: answer.failure.reason.replace(/\.$/, "") };
  return { well: answer.code >= 200 && answer.code < 300, words: `${url.pathname} answered ${answer.code}` };
}
