/** `http.get`: reads a JSON document from a path below the target's base URL. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { placeOf, type Resolve, requestJson } from "../request-json.ts";
import { isPlainPath, urlBelow } from "../url-below.ts";

const input = z.strictObject({
  /** From the base URL on, beginning with a slash: `/health/?verbose=1`. */
  path: z
    .string()
    .max(2_048)
    .refine(isPlainPath, "must be a plain path that begins with one slash, without '..', '//' or a backslash"),
});

const output = z.object({
  /** The HTTP status code, from 200 to 299. */
  status: z.int(),
  /** Any JSON. */
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
  const target = context.target;
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  if (!target.http) return lasting(`The target ${target.name} has no http: in paramedic.yaml. Add its baseUrl.`);
  const url = urlBelow(target.http.baseUrl, input.path);
  if (!url) return lasting(`The http.baseUrl of the target ${target.name} is no plain http(s) URL. Correct it.`);
  const answer = await requestJson(url, context.signal, resolve);
  if (answer.status === "failed") return answer;
  if (answer.code < 200 || answer.code > 299) {
    const mayPass = answer.code >= 500 || answer.code === 429 || answer.code === 408;
    return (mayPass ? passing : lasting)(`${placeOf(url)} answered ${answer.code}.`);
  }
  return { status: "observed", output: { status: answer.code, body: answer.body } };
}
