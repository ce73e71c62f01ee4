/**
 * The steps of a rollback, each of which can be tried again. Migrations are unapplied first: only the newer code knows how,
 * and where that fails nothing else has changed yet.
 */

import { rm } from "node:fs/promises";
import type { ActionContext, ChangeAction, Outcome } from "../../domain/action.ts";
import { clearCache } from "../django/clear-cache.ts";
import { migrate } from "../django/migrate.ts";
import { lasting, passing } from "../failure.ts";
import { runProgram } from "../program.ts";
import type { RestartPlan } from "../systemd/restart.ts";
import { type Checkout, lineOf } from "./git.ts";
import type { LeftBehind } from "./interrupted.ts";
import type { Progress, RollbackPlan } from "./progress.ts";

const largestOutput = 16 * 1024 * 1024;

export interface Going {
  readonly plan: RollbackPlan;
  readonly checkout: Checkout;
  readonly context: ActionContext;
  readonly restart: ChangeAction<{ unit: string }, RestartPlan>;
  /** How far it came before. */
  readonly progress: Progress;
  /** What an earlier checkout left. */
  readonly left: LeftBehind;
  /** Keeps how far it came. */
  keep(change: Partial<Progress>): Promise<void>;
}

export interface Step {
  readonly id: string;
  /** For people, as in "the rollback stopped at …". */
  readonly name: string;
  run(going: Going): Promise<Outcome>;
}

const done: Outcome = { status: "done", result: null };

/** The steps of a plan, in their order. */
export function stepsOf(plan: RollbackPlan): readonly Step[] {
  return [
    ...plan.migrations.map(({ app, to }) => ({
      id: `migrations:${app}`,
      name: `the migrations of ${app}`,
      run: (going: Going) => unapply(app, to, going),
    })),
    { id: "checkout", name: "git checkout", run: checkOut },
    ...(plan.dependencies ? [{ id: "dependencies", name: "the dependencies", run: install }] : []),
    ...plan.caches.map((cache) => ({
      id: `cache:${cache}`,
      name: `the cache ${cache}`,
      run: (going: Going) => empty(cache, going),
    })),
    ...plan.restart.map((unit) => ({
      id: `restart:${unit}`,
      name: `the restart of ${unit}`,
      run: (going: Going) => restart(unit, going),
    })),
  ];
}

async function unapply(app: string, to: string, { plan, context }: Going): Promise<Outcome> {
  const planned = await migrate.plan({ app, to }, context);
  if (planned.status === "failed") return planned;
  const meant = plan.migrations.flatMap(({ steps }) => steps);
  // One app may have taken steps of another one along, so fewer may be left than were planned, but no others.
  const strange = planned.plan.steps.find(
    (step) => !meant.some((one) => one.app === step.app && one.name === step.name && one.backwards === step.backwards),
  );
  if (strange) return lasting(`${strange.app}.${strange.name} was not part of what was planned. Plan it again.`);
  return planned.plan.steps.length === 0 ? done : migrate.apply(planned.plan, context);
}

/** What an earlier one left half-way was looked at before: a forced one loses nothing of it. */
async function checkOut({ plan, checkout, left }: Going): Promise<Outcome> {
  if (checkout.head === plan.to && left.status === "whole") return done;
  for (const lock of left.locks) await rm(lock, { force: true });
  const result = await checkout.checkOut(plan.to, left.status === "half");
  return result.status === "failed" ? result : done;
}

async function install({ plan, context }: Going): Promise<Outcome> {
  const [program, ...args] = plan.dependencies ?? [];
  if (program === undefined) return done;
  const { signal } = context;
  const ended = await runProgram({
    program,
    args,
    folder: plan.checkout,
    signal,
    largestBytes: largestOutput,
    mortal: true,
    forOthers: true,
  });
  if (signal.aborted) return passing(`Stopped while ${program} ran.`);
  if (ended.unstarted)
    return lasting(`${program} cannot be started (${ended.unstarted}). Correct deploy.dependencies.`);
  if (ended.code === 0) return done;
  if (ended.tooLarge) {
    return lasting(
      `${program} was ended, since it printed more than ${largestOutput / 1_048_576} MiB. Have it print less (deploy.dependencies).`,
    );
  }
  const how = ended.endedBy ? `ended by ${ended.endedBy}` : `exit code ${ended.code}`;
  return lasting(`${program} failed (${how}): ${lineOf(ended.errors)}`);
}

async function empty(cache: string, { context }: Going): Promise<Outcome> {
  const planned = await clearCache.plan({ cache, evenIfShared: false }, context);
  if (planned.status === "failed") return planned;
  return planned.effects.length === 0 ? done : clearCache.apply(planned.plan, context);
}

/** A restart that was begun before is looked for first, and never done twice. */
async function restart(unit: string, { context, progress, restart: action, keep }: Going): Promise<Outcome> {
  const begun = progress.restarting;
  if (begun?.["unit"] === unit) {
    const answer = await action.probe?.(begun as RestartPlan, context);
    if (answer === "applied") return done;
    if (answer !== "not-applied") {
      return { status: "unknown", reason: `It is not known whether ${unit} was restarted. Look at it.` };
    }
  }
  const planned = await action.plan({ unit }, context);
  if (planned.status === "failed") return planned;
  await keep({ restarting: planned.plan });
  return action.apply(planned.plan, context);
}
