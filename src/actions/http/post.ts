/** `http.post`: sends one JSON document to a path that the target's configuration lists, with a key by which it counts once. */

import { createHash } from "node:crypto";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { Json } from "../../domain/json.ts";
import { canonical } from "../canonical.ts";
import { exchange, placeOf, type Resolve } from "../exchange.ts";
import { lasting } from "../failure.ts";
import { redact, redactJson } from "../redact.ts";
import { jsonOf, requestJson } from "../request-json.ts";
import { isPlainPath } from "../url-below.ts";
import { codeFailure, type Place, placeBelow } from "./place.ts";

const longestBody = 64 * 1024;
const shownBody = 200;

const input = z.strictObject({
  /** One of the target's `http.post`, exactly as it stands there. */
  path: z.string().max(2_048).refine(isPlainPath, "must be one of the target's http.post, exactly as it stands there"),
  /** What is sent: any JSON. */
  body: z
    .json()
    .default({})
    .refine((body) => Buffer.byteLength(JSON.stringify(body)) <= longestBody, "must be at most 64 KiB of JSON"),
});

type Input = z.output<typeof input>;

export type PostPlan = { readonly path: string; readonly body: Json };

/** What a status path answers. */
const told = z.object({ applied: z.boolean() });

export const httpPost: ChangeAction<Input, PostPlan> = httpPostBy();

/** `http.post` with another name server, for tests. */
export function httpPostBy(resolve?: Resolve): ChangeAction<Input, PostPlan> {
  return {
    name: "http.post",
    summary: "Sends a JSON document to a path that the target's configuration lists.",
    input,
    kind: "change",
    risk: "high",
    repeat: "once",
    plan: (input, context) => plan(input, context, resolve),
    apply: (plan, context) => apply(plan, context, resolve),
    probe: (plan, context) => probe(plan, context, resolve),
  };
}

async function plan(input: Input, context: ActionContext, resolve?: Resolve): Promise<Planned<PostPlan>> {
  const place = allowedPlace(context, input.path);
  if ("status" in place) return place;
  const planned: PostPlan = { path: input.path, body: input.body };
  const before = await ask(planned, place, context, resolve);
  if (typeof before === "object" && before !== null) return before;
  const text = redact(JSON.stringify(redactJson(input.body)));
  const shown = text.length <= shownBody ? text : `${text.slice(0, shownBody - 1)}…`;
  return {
    status: "planned",
    plan: planned,
    effects: before === "applied" ? [] : [`POST ${placeOf(place.url)}: ${shown}`],
  };
}

async function apply(plan: PostPlan, context: ActionContext, resolve?: Resolve): Promise<Outcome> {
  const place = allowedPlace(context, plan.path);
  if ("status" in place) return place;
  const { url, http } = place;
  const where = placeOf(url);
  const answer = await exchange({
    url,
    signal: context.signal,
    method: "POST",
    headers: {
      accept: "application/json",
      "content-type": "application/json",
      "idempotency-key": keyOf(plan, context),
    },
    body: JSON.stringify(plan.body),
    timeoutMs: null,
    ...(http.network && { network: http.network }),
    ...(resolve && { resolve }),
  });
  if (answer.status === "unanswered") {
    if (!answer.sent) return answer.failure;
    return inDoubt(where, answer.failure.reason);
  }
  const { code } = answer;
  if (code >= 200 && code < 300) return { status: "done", result: { status: code, body: resultOf(jsonOf(answer)) } };
  if (code >= 400 && code < 500 && code !== 408) return codeFailure(where, code);
  return inDoubt(
    where,
    code < 400 ? `It answered ${code}, a redirect; these are not followed.` : `It answered ${code}.`,
  );
}

function inDoubt(where: string, why: string): Outcome {
  return { status: "unknown", reason: `The request was sent to ${where}, but not whether it was carried out. ${why}` };
}

/** Of what was answered, so much as can be kept in a history, and no secret. */
function resultOf(body: unknown): Json {
  if (body === undefined) return null;
  return Buffer.byteLength(JSON.stringify(body)) <= longestBody ? (redactJson(body) as Json) : null;
}

async function probe(
  plan: PostPlan,
  context: ActionContext,
  resolve?: Resolve,
): Promise<"applied" | "not-applied" | "unknown"> {
  const place = allowedPlace(context, plan.path);
  if ("status" in place) return "unknown";
  const answer = await ask(plan, place, context, resolve);
  return typeof answer === "string" ? answer : "unknown";
}

/** Asks the status path whether the request was carried out; null where there is no such path. */
async function ask(
  plan: PostPlan,
  { http }: Place,
  context: ActionContext,
  resolve?: Resolve,
): Promise<"applied" | "not-applied" | null | Failure> {
  const statusPath = http.post?.find(({ path }) => path === plan.path)?.statusPath;
  if (context.signal.aborted) return { status: "failed", reason: "Stopped before anything was sent.", retryable: true };
  if (statusPath === undefined) return null;
  const place = placeBelow(context, statusPath);
  if ("status" in place) return place;
  place.url.search = new URLSearchParams({ key: keyOf(plan, context) }).toString();
  const answer = await requestJson(place.url, context.signal, {
    ...(http.network && { network: http.network }),
    ...(resolve && { resolve }),
  });
  if (answer.status === "failed") return answer;
  const where = placeOf(place.url);
  if (answer.code < 200 || answer.code > 299) return codeFailure(where, answer.code);
  const parsed = told.safeParse(answer.body);
  if (!parsed.success) return lasting(`${where} answered no {"applied": true} or {"applied": false}.`);
  return parsed.data.applied ? "applied" : "not-applied";
}

function allowedPlace(context: ActionContext, path: string): Place | Failure {
  const place = placeBelow(context, path);
  if ("status" in place) return place;
  const paths = place.http.post?.map((one) => one.path) ?? [];
  if (paths.includes(path)) return place;
  // The path may be hostile text: it is not repeated.
  const listed = paths.length === 0 ? "It lists none" : `It lists ${paths.join(", ")}`;
  return lasting(`The target ${context.target?.name} does not list this path in http.post. ${listed}.`);
}

/** Of one step of one run, so that a server which heard it twice knows; another run has another key. */
function keyOf(plan: PostPlan, { occasion = "" }: ActionContext): string {
  return createHash("sha256")
    .update(`${occasion}\n${plan.path}\n${canonical(plan.body)}`)
    .digest("hex")
    .slice(0, 32);
}
