/** `http.get`: reads a JSON document from a path below the target's base URL. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { placeOf, type Resolve } from "../exchange.ts";
import { redactJson } from "../redact.ts";
import { requestJson } from "../request-json.ts";
import { isPlainPath } from "../url-below.ts";
import { codeFailure, placeBelow } from "./place.ts";

const input = z.strictObject({
  /** From the base URL on, beginning with a slash: `/health/?verbose=1`. */
  path: z
    .string()
    .max(2_048)
    .refine(isPlainPath, "must be a plain path that begins with one slash, without '..', '//' or a backslash"),
  /** Codes from 400 to 599 whose answer is wanted as well: a health page answers 503 and says in JSON what is wrong. */
  alsoStatus: z.array(z.int().min(400).max(599)).min(1).max(10).optional(),
});

const output = z.object({
  /** The HTTP status code, from 200 to 299 or one of `alsoStatus`. */
  status: z.int(),
  /** Any JSON; what looks like a secret is removed. */
  body: z.unknown(),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const httpGet: ObserveAction<Input, Output> = httpGetBy();

/** `http.get` with another name server, for tests. */
export function httpGetBy(resolve?: Resolve): ObserveAction<Input, Output> {
  return {
    name: "http.get",
    summary: "Reads a JSON document from a path below the target's base URL.",
    input,
    kind: "observe",
    output,
    observe: (input, context) => observe(input, context, resolve),
  };
}

async function observe(input: Input, context: ActionContext, resolve?: Resolve): Promise<Observed<Output>> {
  const place = placeBelow(context, input.path);
  if ("status" in place) return place;
  const { http, url } = place;
  const answer = await requestJson(url, context.signal, {
    timeoutMs: null,
    ...(http.network && { network: http.network }),
    ...(resolve && { resolve }),
  });
  if (answer.status === "failed") return answer;
  const isSuccess = answer.code >= 200 && answer.code <= 299;
  const isWanted = isSuccess || (input.alsoStatus?.includes(answer.code) && answer.body !== undefined);
  if (!isWanted) return codeFailure(placeOf(url), answer.code);
  return { status: "observed", output: { status: answer.code, body: redactJson(answer.body) } };
}
