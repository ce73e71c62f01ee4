/** `django.migrate`: takes one app of a project to a named migration, forwards or backwards, exactly by the planned steps. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { askDjango, orderDjango } from "./python.ts";

const input = z.strictObject({
  /** The label of an app that has migrations. */
  app: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/),
  /** The name of a migration of the app, or so much of its beginning that there is only one: `0002`. */
  to: z
    .string()
    .regex(/^[A-Za-z0-9_]{1,255}$/)
    .refine((name) => name.toLowerCase() !== "zero", "must be a migration: zero drops every table of the app"),
});

type Input = z.output<typeof input>;

const step = z.object({ app: z.string(), name: z.string(), backwards: z.boolean() });

export type MigrationStep = Readonly<z.output<typeof step>>;

/** What Django would do, in its order; other apps appear where the migrations depend on theirs. */
export type MigratePlan = { readonly app: string; readonly to: string; readonly steps: readonly MigrationStep[] };

const planned = z.object({
  to: z.string(),
  steps: z.array(
    step.extend({
      operations: z.array(z.string()),
      /** The first operation that cannot be undone. */
      lasting: z.string().nullable(),
    }),
  ),
});

type Described = z.output<typeof planned>["steps"][number];

const longestEffect = 400;

export const migrate: ChangeAction<Input, MigratePlan> = {
  name: "django.migrate",
  summary: "Takes one app of a Django project to a named migration.",
  input,
  kind: "change",
  onHost: true,
  risk: "irreversible",
  repeat: "once",
  plan,
  apply,
  probe,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<MigratePlan>> {
  const answer = await askDjango(context, { do: "migration-plan", ...input });
  if (answer.status === "failed") return answer;
  const { to, steps } = planned.parse(answer.value);
  const stuck = steps.find((step) => step.backwards && step.lasting !== null);
  if (stuck) {
    return lasting(`${stuck.app}.${stuck.name} cannot be unapplied: "${stuck.lasting}" has no reverse.`);
  }
  return {
    status: "planned",
    plan: { app: input.app, to, steps: steps.map(({ app, name, backwards }) => ({ app, name, backwards })) },
    effects: steps.map(describeStep),
  };
}

function describeStep({ app, name, backwards, operations, lasting: forGood }: Described): string {
  const verb = backwards ? "unapply" : "apply";
  const oneWay = forGood === null || backwards ? "" : " (cannot be unapplied)";
  const line = `${verb} ${app}.${name}${oneWay}: ${operations.join("; ")}`;
  return line.length <= longestEffect ? line : `${line.slice(0, longestEffect - 1)}…`;
}

async function apply(plan: MigratePlan, context: ActionContext): Promise<Outcome> {
  const answer = await orderDjango(context, { do: "migrate", ...plan });
  return answer.status === "answered" ? { status: "done", result: answer.value } : answer;
}

/** By the project's own record of applied migrations. A plan that was carried out in part is `unknown`. */
async function probe({ steps }: MigratePlan, context: ActionContext): Promise<"applied" | "not-applied" | "unknown"> {
  const state = await migrationState(steps, context);
  if (state.status === "failed" || steps.length === 0) return "unknown";
  if (state.happened.length === 0) return "not-applied";
  return state.happened.length === steps.length ? "applied" : "unknown";
}

/** Which steps of a plan have happened, by the project's own record. */
export async function migrationState(
  steps: readonly MigrationStep[],
  context: ActionContext,
): Promise<{ readonly status: "told"; readonly happened: readonly MigrationStep[] } | Failure> {
  const answer = await askDjango(context, { do: "migration-state", steps });
  if (answer.status === "failed") return answer;
  return { status: "told", happened: z.array(step).parse(answer.value) };
}
