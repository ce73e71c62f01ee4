/** `redis.delete-keys`: deletes the keys of one allowed pattern, in batches small enough that others hardly wait. */

import type { Redis } from "ioredis";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { RedisTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import { withRedis } from "./connect.ts";
import { showKey } from "./key-text.ts";

const samples = 5;
/** One batch is one SCAN and one UNLINK; Redis serves nobody else during either. */
const batch = { least: 100, first: 250, most: 500, slowMs: 4, quickMs: 2 };

const input = z.strictObject({
  /** One of the target's `redis.keyPatterns`, exactly as written there. */
  pattern: z
    .string()
    .min(1)
    .max(256)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
    .refine((value) => !/[\u0000-\u001f\u007f]/.test(value), "must not contain control characters")
    .refine((value) => value.replace(/\[[^\]]*\]|[*?]/g, "").trim() !== "", "must contain some literal text"),
});

type Input = z.output<typeof input>;

/**
 * Keys come and go every second, so a plan does not name them: it holds what may be deleted and how many at most, which
 * is twice their number, rounded up to a power of ten. So it stays equal while the cache is in use, and another order of
 * magnitude is another plan, to be approved anew.
 */
export type DeleteKeysPlan = { readonly pattern: string; readonly atMost: number };

export const deleteKeys: ChangeAction<Input, DeleteKeysPlan> = {
  name: "redis.delete-keys",
  summary: "Deletes the keys that match one of the target's allowed patterns.",
  input,
  kind: "change",
  risk: "low",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<DeleteKeysPlan>> {
  return withRedis(context, async (redis, target): Promise<Planned<DeleteKeysPlan>> => {
    const refused = refusal(input.pattern, target, context);
    if (refused) return refused;
    const shown: string[] = [];
    let found = 0;
    for await (const keys of scan(redis, input.pattern, context.signal)) {
      found += keys.length;
      for (const key of keys.slice(0, samples - shown.length)) shown.push(showKey(key));
    }
    const atMost = found === 0 ? 0 : 10 ** Math.ceil(Math.log10(2 * found));
    return {
      status: "planned",
      plan: { pattern: input.pattern, atMost },
      effects: found === 0 ? [] : [describeEffect(input.pattern, found, atMost, shown)],
    };
  });
}

function describeEffect(pattern: string, found: number, atMost: number, shown: readonly string[]): string {
  const more = found > shown.length ? ", …" : "";
  return `delete ${found} keys that match ${pattern} (at most ${atMost}), such as ${shown.join(", ")}${more}`;
}

async function apply(plan: DeleteKeysPlan, context: ActionContext): Promise<Outcome> {
  let asked = false;
  let deleted = 0;
  const outcome = await withRedis(context, async (redis, target): Promise<Outcome> => {
    const refused = refusal(plan.pattern, target, context);
    if (refused) return refused;
    for await (const keys of scan(redis, plan.pattern, context.signal)) {
      if (deleted + keys.length > plan.atMost) return tooMany(plan, deleted);
      if (keys.length === 0) continue;
      asked = true;
      deleted += await redis.unlink(keys);
    }
    return { status: "done", result: { deleted } };
  });
  if (!asked || outcome.status !== "failed" || !outcome.retryable) return outcome;
  return { status: "unknown", reason: `${deleted} keys or more were deleted, not all: ${outcome.reason}` };
}

function tooMany(plan: DeleteKeysPlan, deleted: number): Failure {
  return lasting(
    `More keys match ${plan.pattern} than the ${plan.atMost} of the plan; stopped at ${deleted}. Plan it again.`,
  );
}

function refusal(pattern: string, target: RedisTarget, { target: named }: ActionContext): Failure | null {
  if (target.keyPatterns.includes(pattern)) return null;
  return lasting(
    `The pattern ${showKey(pattern)} is not among redis.keyPatterns of the target ${named?.name}. Use one that is, or add it.`,
  );
}

/**
 * The keys that match, batch by batch; some may come twice, as SCAN has it. A batch that took Redis long makes the next
 * one smaller: what the caller does with a batch counts.
 */
async function* scan(redis: Redis, pattern: string, signal: AbortSignal): AsyncGenerator<Buffer[]> {
  let size = batch.first;
  let cursor = "0";
  do {
    signal.throwIfAborted();
    const started = performance.now();
    const [next, keys] = await redis.scanBuffer(cursor, "MATCH", pattern, "COUNT", size);
    yield keys;
    const tookMs = performance.now() - started;
    if (tookMs > 2 * batch.slowMs) size = Math.max(batch.least, Math.floor(size / 2));
    else if (tookMs < 2 * batch.quickMs) size = Math.min(batch.most, size * 2);
    cursor = next.toString();
  } while (cursor !== "0");
}
