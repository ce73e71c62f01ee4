/** Whether a target's health path answers well: any 2xx, no redirects. */

import http from "node:http";
import https from "node:https";
import { deadlineOf } from "../../domain/deadline.ts";
import type { Target } from "../../domain/target.ts";
import { urlBelow } from "../url-below.ts";

const timeoutMs = 2_000;

/** How a health path answered. */
export interface Health {
  readonly well: boolean;
  /** For people: `/health/ answered 503`. */
  readonly words: string;
}

/** Asks the target's health path once; null where it has none. */
export async function askHealth(target: Target, signal: AbortSignal): Promise<Health | null> {
  const path = target.http?.healthPath;
  if (!target.http || path === undefined) return null;
  const url = urlBelow(target.http.baseUrl, path);
  if (!url) return { well: false, words: "http.healthPath is no plain path below http.baseUrl" };
  const deadline = deadlineOf([signal], timeoutMs);
  try {
    const code = await statusOf(url, deadline.signal);
    return { well: code >= 200 && code < 300, words: `${url.pathname} answered ${code}` };
  } catch (error) {
    if (deadline.signal.aborted)
      return { well: false, words: `${url.pathname} did not answer within ${timeoutMs / 1_000} s` };
    return {
      well: false,
      words: `${url.pathname} did not answer (${(error as NodeJS.ErrnoException).code ?? "no HTTP"})`,
    };
  } finally {
    deadline.release();
  }
}

function statusOf(url: URL, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const { request } = url.protocol === "https:" ? https : http;
    request(url, { agent: false, signal, headers: { "user-agent": "paramedic" } }, (response) => {
      // Only the code counts; the body may be of any length.
      response.destroy();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });
}
