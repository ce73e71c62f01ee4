/** Paramedic's worker as it is, but for its actions: `http.get` and `http.post` do nothing, and when each run reaches its first step is noted. */

import { z } from "zod";
import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { ChangeAction, ObserveAction } from "../../src/domain/action.ts";
import { createLogger } from "../../src/log.ts";
import { answerQuestions, sharedNow } from "../talk.ts";

const firstStepAt: Record<string, number> = {};

const nothing: ObserveAction<{ path: string }, { status: number; body: unknown }> = {
  name: "http.get",
  summary: "Does nothing.",
  kind: "observe",
  input: z.strictObject({ path: z.string() }),
  output: z.object({ status: z.int(), body: z.unknown() }),
  observe: async () => ({ status: "observed", output: { status: 200, body: null } }),
};

/** Plans one effect, for benchmarks that ask people for it, and applies nothing. */
const askable: ChangeAction<{ path: string }, { path: string }> = {
  name: "http.post",
  summary: "Does nothing, after it was approved.",
  kind: "change",
  input: z.strictObject({ path: z.string() }),
  risk: "high",
  repeat: "safe",
  plan: async (plan) => ({ status: "planned", plan, effects: [`POST ${plan.path}`] }),
  apply: async () => ({ status: "done", result: null }),
};

const loaded = loadConfig({ file: process.env["CONFIG_FILE"] ?? null });
if ("problems" in loaded) throw new Error(JSON.stringify(loaded.problems));
const { config } = loaded;

let ended = 0;
let wanted: { readonly runs: number; reached(at: number): void } | null = null;

await startApp(config, {
  role: "worker",
  host: null,
  log: createLogger({ level: config.log.level, secrets: config.secrets }),
  actions: new Map([nothing, askable].map((action) => [action.name, action])),
  reached: (point, runId) => {
    if (point === "before-observe") firstStepAt[runId] ??= sharedNow();
    if (point !== "after-end") return;
    ended += 1;
    if (ended === wanted?.runs) wanted.reached(sharedNow());
  },
});

export const worker = answerQuestions({
  /** When as many runs as this have ended, since the process began. */
  ended: ({ runs }: { readonly runs: number }) =>
    new Promise<number>((resolve) => {
      if (ended >= runs) resolve(sharedNow());
      wanted = { runs, reached: resolve };
    }),
  /** When the first step of each run began. */
  firstSteps: () => firstStepAt,
});
