/** Small actions with real schemas, as data for the tests of playbooks. They do nothing. */

import * as z from "zod";
import type { Action, ActionRegistry, ChangeAction, ObserveAction } from "../../src/domain/action.ts";
import type { Json } from "../../src/domain/json.ts";
import type { Target } from "../../src/domain/target.ts";
import type { PlaybookWorld } from "../../src/playbooks/read-playbook.ts";

function observes(name: string, input: z.ZodType, output: z.ZodType): ObserveAction {
  const nothing = async () => ({ status: "failed", reason: "only data", retryable: false }) as const;
  return { name, summary: `Looks: ${name}.`, kind: "observe", input, output, observe: nothing };
}

function changes(name: string, input: z.ZodType, rest: Pick<ChangeAction, "risk" | "repeat">): ChangeAction {
  const nothing = async () => ({ status: "failed", reason: "only data", retryable: false }) as const;
  return { name, summary: `Changes: ${name}.`, kind: "change", input, ...rest, plan: nothing, apply: nothing };
}

const nothing = z.strictObject({});

const all: readonly Action[] = [
  observes(
    "postgres.activity",
    nothing,
    z.object({
      connections: z.int(),
      longestSeconds: z.number(),
      state: z.enum(["quiet", "busy"]),
      databases: z.array(z.string()),
      byUser: z.record(z.string(), z.number()),
      blockers: z.array(z.object({ pid: z.int(), seconds: z.number() })),
      pool: z.object({ used: z.int(), free: z.int() }).optional(),
      note: z.string().nullable(),
      healthy: z.boolean(),
    }),
  ),
  observes("http.get", z.object({ path: z.string().startsWith("/") }), z.object({ status: z.int(), body: z.json() })),
  changes(
    "postgres.cancel-queries",
    z.strictObject({
      olderThanSeconds: z.number().min(1),
      atMost: z.int().min(1).max(100).default(20),
      users: z.array(z.string()).optional(),
    }),
    { risk: "low", repeat: "safe" },
  ),
  changes("systemd.restart", z.strictObject({ unit: z.string() }), { risk: "high", repeat: "once" }),
  {
    ...changes("postgres.read-only", nothing, { risk: "high", repeat: "safe" }),
    revert: async () => ({ status: "done", result: null }),
    restack: (lower: Json, upper: Json) => ({ lower, upper }),
  },
  changes("postgres.restore", z.strictObject({ backup: z.string() }), { risk: "irreversible", repeat: "once" }),
];

export const actions: ActionRegistry = new Map(all.map((action) => [action.name, action]));

export const targets: readonly Target[] = [
  { name: "youtility3", host: null, labels: { service: ["youtility3", "yt3"] } },
];

export const world: PlaybookWorld = {
  actions,
  targets,
  policies: ["database"],
  contacts: ["monitoring", "paging"],
  approvers: ["dba"],
  announces: true,
};
