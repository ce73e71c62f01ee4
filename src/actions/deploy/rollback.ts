/** `deploy.rollback`: takes a target's checkout back to an earlier tag, with its migrations, dependencies, caches and units. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { DeployTarget } from "../../domain/target.ts";
import { clearCache } from "../django/clear-cache.ts";
import { type MigratePlan, migrate } from "../django/migrate.ts";
import { asSentence, lasting, passing } from "../failure.ts";
import { canBeMortal } from "../program.ts";
import { redact } from "../redact.ts";
import { systemdRestart } from "../systemd/restart.ts";
import type { SystemdSettings } from "../systemd/with-unit.ts";
import { doneInPart, isAnythingLeft, readiness, unfinished } from "./begun.ts";
import { type Difference, differenceTo, type Version, versionBefore } from "./difference.ts";
import { type Checkout, deployOf, openCheckout } from "./git.ts";
import type { LeftBehind } from "./interrupted.ts";
import { begin, digestOf, type Progress, type RollbackPlan, readProgress, writeProgress } from "./progress.ts";
import { type Going, type Step, stepsOf } from "./steps.ts";
import { hasBegun, reached, wayBack } from "./way-back.ts";

const shownRequirements = 10;

const input = z.strictObject({
  /** A tag before what is checked out; the nearest that the target's `deploy.tags` selects where left out. */
  tag: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/)
    .refine((tag) => !/\.\.|\/\/|\/$|\.lock$/.test(tag), "must be the name of a tag")
    .optional(),
  /** Whether migrations that the tag does not have are unapplied, or the database is left as it is. */
  migrations: z.enum(["unapply", "keep"]).default("unapply"),
});

type Input = z.output<typeof input>;

/** `deploy.rollback`, which restarts units over the given system bus. */
export function deployRollback(settings: SystemdSettings): ChangeAction<Input, RollbackPlan> {
  return {
    name: "deploy.rollback",
    summary: "Takes a target's checkout back to an earlier tag, with all that belongs to it.",
    onHost: true,
    input,
    kind: "change",
    risk: "irreversible",
    repeat: "once",
    plan: (input, context) => plan(input, context, settings),
    apply: (plan, context) => apply(plan, context, settings),
    probe,
  };
}

async function plan(input: Input, context: ActionContext, settings: SystemdSettings): Promise<Planned<RollbackPlan>> {
  const deploy = deployOf(context);
  if ("status" in deploy) return deploy;
  const checkout = await openCheckout(deploy.checkout, context.signal);
  if (checkout.status === "failed") return checkout;
  const before = unfinished(await readProgress(checkout));
  const left = await readiness(checkout, before);
  if (left.status === "failed") return left;
  if (before && (await isAnythingLeft(before, left, { checkout, context }))) return goOn(before, input, deploy);
  const version = await versionBefore(checkout, deploy.tags, input.tag);
  if (version.status === "failed") return version;
  const difference = await differenceTo(checkout, version);
  if (difference.status === "failed") return difference;
  return planTo(version, difference, { input, context, deploy, checkout, settings });
}

/** What was begun is finished before anything else: the same plan, so that who approved it need not be asked again. */
function goOn(before: Progress, input: Input, deploy: DeployTarget): Planned<RollbackPlan> {
  const { plan, done } = before;
  const strange = notConfigured(plan, deploy);
  if (strange)
    return lasting(`${strange.reason} A rollback to ${plan.tag} was begun; go back first: ${wayBack(plan, before)}`);
  if (input.tag !== undefined && input.tag !== plan.tag) {
    return lasting(
      `A rollback to ${plan.tag} was begun and not finished. Finish it, or go back: ${wayBack(plan, before)}`,
    );
  }
  const open = stepsOf(plan).filter(({ id }) => !done.includes(id));
  return {
    status: "planned",
    plan,
    effects: open.map(({ name }) => `go on with the rollback to ${plan.tag}: ${name}`),
  };
}

interface Around {
  readonly input: Input;
  readonly context: ActionContext;
  readonly deploy: DeployTarget;
  readonly checkout: Checkout;
  readonly settings: SystemdSettings;
}

async function planTo(
  { tag, commit }: Version,
  difference: Difference,
  { input, context, deploy, checkout, settings }: Around,
): Promise<Planned<RollbackPlan>> {
  const { folder, head, branch } = checkout;
  const from = branch ?? head.slice(0, 10);
  const effects = [
    `check out ${tag} (${commit.slice(0, 10)}) in ${folder}, ${difference.commits} commits back from ${from} (${head.slice(0, 10)})`,
    ...difference.newest.map((line) => `take back ${shown(line)}`),
  ];
  const migrations: MigratePlan[] = [];
  for (const { app, to } of difference.apps) {
    if (input.migrations === "keep") effects.push(`leave the migrations of ${app} that ${tag} does not have`);
    else if (to === null) effects.push(`leave the tables of ${app}, which ${tag} does not have`);
    else {
      if (!context.target?.django)
        return lasting(
          `${tag} lacks migrations of ${app}, but the target has no django:. Add it, or say migrations: keep.`,
        );
      const planned = await migrate.plan({ app, to }, context);
      if (planned.status === "failed") return planned;
      if (planned.plan.steps.length === 0) continue;
      migrations.push(planned.plan);
      effects.push(...planned.effects);
    }
  }
  const changed = difference.dependencies;
  if (changed.length > 0) {
    const names = changed.slice(0, 5).map(shown).join(", ");
    if (!deploy.dependencies)
      return lasting(`${names} would change, but the target has no deploy.dependencies to install them by. Add it.`);
    effects.push(`run ${deploy.dependencies.join(" ")}, since ${names} would change`);
    const lines = difference.requirements;
    effects.push(...lines.slice(0, shownRequirements).map(shown));
    const more = lines.length - shownRequirements;
    if (more > 0) effects.push(`and ${more} more requirements that would change`);
  }
  for (const cache of deploy.caches) {
    const planned = await clearCache.plan({ cache, evenIfShared: false }, context);
    if (planned.status === "failed") return planned;
    effects.push(planned.effects[0] ?? `empty the cache ${cache}`);
  }
  for (const unit of deploy.restart) {
    const planned = await systemdRestart(settings).plan({ unit }, context);
    if (planned.status === "failed") return planned;
    effects.push(...planned.effects);
  }
  const plan: RollbackPlan = {
    checkout: folder,
    from: head,
    branch,
    to: commit,
    tag,
    migrations: migrations.map(({ app, to, steps }) => ({ app, to, steps: steps.map((step) => ({ ...step })) })),
    dependencies: changed.length > 0 ? [...(deploy.dependencies ?? [])] : null,
    caches: [...deploy.caches],
    restart: [...deploy.restart],
  };
  return { status: "planned", plan, effects };
}

function shown(text: string): string {
  return redact(text)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?")
    .slice(0, 200);
}

async function apply(plan: RollbackPlan, context: ActionContext, settings: SystemdSettings): Promise<Outcome> {
  const deploy = deployOf(context);
  if ("status" in deploy) return deploy;
  const strange = notConfigured(plan, deploy);
  if (strange) return strange;
  const checkout = await openCheckout(plan.checkout, context.signal);
  if (checkout.status === "failed") return checkout;
  const before = await readProgress(checkout);
  const left = await readiness(checkout, unfinished(before));
  if (left.status === "failed") return left;
  const isOurs = before?.digest === digestOf(plan);
  if (isOurs && before.finished && checkout.head === plan.to) return doneAs(plan);
  if (!isOurs && (checkout.head !== plan.from || left.status !== "whole")) {
    return lasting(
      `${plan.checkout} is at ${checkout.head.slice(0, 10)} and not where it was planned from. Plan it again.`,
    );
  }
  if (!(await canBeMortal()))
    context.log.warn({ checkout: plan.checkout }, "without setpriv, what is started outlives a worker that is killed");
  return carryOut(plan, isOurs && !before.finished ? before : begin(plan), { checkout, context, settings, left });
}

/** A stored plan is obeyed only as far as the configuration says the same today. */
function notConfigured(plan: RollbackPlan, deploy: DeployTarget): Failure | null {
  const same =
    plan.checkout === deploy.checkout &&
    (plan.dependencies === null || plan.dependencies.join("\0") === deploy.dependencies?.join("\0")) &&
    plan.caches.every((cache) => deploy.caches.includes(cache)) &&
    plan.restart.every((unit) => deploy.restart.includes(unit));
  return same ? null : lasting("The target's deploy: has changed since this was planned. Plan it again.");
}

async function carryOut(
  plan: RollbackPlan,
  before: Progress,
  around: Pick<Around, "checkout" | "context" | "settings"> & { readonly left: LeftBehind },
): Promise<Outcome> {
  const { checkout, context, settings, left } = around;
  let progress = before;
  const keep = async (change: Partial<Progress>) => {
    progress = { ...progress, ...change };
    await writeProgress(checkout, progress);
  };
  for (const step of stepsOf(plan)) {
    // Migrations are looked at again as long as the newer code is there: somebody may have put them back.
    const isNewer = checkout.head === plan.from && left.status === "whole";
    if (progress.done.includes(step.id) && !(step.id.startsWith("migrations:") && isNewer)) continue;
    if (context.signal.aborted) return stopped(plan, progress, step);
    const going: Going = { plan, checkout, context, restart: systemdRestart(settings), progress, left, keep };
    // By the clock that files have their times from.
    const at = progress.begun?.step === step.id ? progress.begun.at : Date.now();
    await keep({ begun: { step: step.id, at } });
    const outcome = await step.run(going);
    if (outcome.status === "unknown")
      return { ...outcome, reason: `At ${step.name}: ${asSentence(outcome.reason)} ${reached(progress)}` };
    if (outcome.status === "failed") {
      // A failure that may be tried again says itself that nothing was changed.
      const isNothing = outcome.retryable && step.id.startsWith("migrations:") && !hasBegun(going.progress);
      return isNothing ? outcome : failed(outcome, plan, progress, { step, context });
    }
    await keep({ done: [...new Set([...progress.done, step.id])], begun: null, restarting: null });
  }
  await keep({ finished: true });
  return doneAs(plan);
}

function doneAs({ tag, from, to, migrations }: RollbackPlan): Outcome {
  const unapplied = migrations.flatMap(({ steps }) => steps.map(({ app, name }) => `${app}.${name}`));
  return { status: "done", result: { tag, from, to, unapplied } };
}

function stopped(plan: RollbackPlan, progress: Progress, step: Step): Outcome {
  if (!hasBegun(progress)) return passing(`Stopped before ${plan.checkout} was rolled back.`);
  return { status: "unknown", reason: `Stopped before ${step.name}. ${reached(progress)}` };
}

/** A first step that failed and changed nothing has failed, and no more; otherwise there is a way back, from the middle of a step too. */
async function failed(
  failure: Failure,
  plan: RollbackPlan,
  progress: Progress,
  { step, context }: { readonly step: Step; readonly context: ActionContext },
): Promise<Outcome> {
  if (context.signal.aborted) {
    // Whatever was killed may have done some of its work; each step can be tried again.
    return { status: "unknown", reason: `Stopped at ${step.name}: ${asSentence(failure.reason)} ${reached(progress)}` };
  }
  const inPart = await doneInPart(plan, progress, context);
  if (inPart === null && progress.done.length === 0) return failure;
  const now = inPart === null ? { ...progress, begun: null } : progress;
  return lasting(
    `The rollback to ${plan.tag} stopped at ${step.name}: ${asSentence(failure.reason)} ${reached(now, inPart ?? "")} ` +
      `Start it again to go on. The way back: ${wayBack(plan, now)}`,
  );
}

/** What was begun and can be gone on with counts as not applied: it is planned and applied again, from where it stopped. */
async function probe(plan: RollbackPlan, context: ActionContext): Promise<"applied" | "not-applied" | "unknown"> {
  const checkout = await openCheckout(plan.checkout, context.signal);
  if (checkout.status === "failed") return "unknown";
  const progress = await readProgress(checkout);
  if (progress?.digest !== digestOf(plan)) return checkout.head === plan.from ? "not-applied" : "unknown";
  return progress.finished && checkout.head === plan.to ? "applied" : "not-applied";
}
