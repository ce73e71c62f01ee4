/** `redis.round-trip`: whether a Redis keeps what it is given: one key of Paramedic's own is written, read and removed. */

import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { isAway, reachRedis } from "./connect.ts";

const input = z.strictObject({});

const output = z.object({
  /** Whether the value that was read is the one that was written. */
  works: z.boolean(),
  /** Redis's code where it refuses to write, as in `OOM` or `MISCONF`; `cannot be reached: …` where it is away; or empty. */
  refusal: z.string(),
  /** How long connecting, writing, reading and removing took. */
  milliseconds: z.number(),
});

type Output = z.output<typeof output>;

/** Redis refuses writes with these while it still answers. */
const refusals = ["OOM", "MISCONF", "READONLY", "NOREPLICAS"];
const keptMs = 30_000;

export const roundTrip: ObserveAction<z.output<typeof input>, Output> = {
  name: "redis.round-trip",
  summary: "Writes, reads and removes one key of Paramedic's own, to see whether a Redis keeps what it is given.",
  input,
  kind: "observe",
  output,
  observe: (_, context) => observe(context),
};

async function observe(context: ActionContext): Promise<Observed<Output>> {
  const started = performance.now();
  const answer = (works: boolean, refusal = ""): Observed<Output> => {
    const milliseconds = Math.round((performance.now() - started) * 1_000) / 1_000;
    return { status: "observed", output: { works, refusal, milliseconds } };
  };
  const result = await reachRedis(context, async (redis): Promise<Observed<Output>> => {
    const key = `paramedic:round-trip:${randomUUID()}`;
    try {
      await redis.set(key, key, "PX", keptMs);
    } catch (error) {
      const code = refusals.find((one) => (error as Error).message.startsWith(one));
      if ((error as Error).name === "ReplyError" && code !== undefined) return answer(false, code);
      throw error;
    }
    const read = await redis.get(key);
    await redis.del(key);
    return answer(read === key);
  });
  // That nobody is there is what a round trip is made to find out.
  return isAway(result) ? answer(false, `cannot be reached: ${result.reason}`) : result;
}
