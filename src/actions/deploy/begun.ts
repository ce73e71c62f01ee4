/** What a rollback that was begun, and not finished, has left: whether it can be gone on with, and what of it is still so. */

import type { ActionContext, Failure } from "../../domain/action.ts";
import { migrationState } from "../django/migrate.ts";
import { asSentence, lasting } from "../failure.ts";
import { type Checkout, dirtiness, openCheckout } from "./git.ts";
import { type LeftBehind, leftBehind } from "./interrupted.ts";
import type { Progress, RollbackPlan } from "./progress.ts";
import { hasBegun, reached, wayBack } from "./way-back.ts";

/** One that has begun anything and was not finished. */
export function unfinished(progress: Progress | null): Progress | null {
  return progress !== null && !progress.finished && hasBegun(progress) ? progress : null;
}

/**
 * Whether the checkout is as a rollback may find it: clean, or as a checkout of `before` that was interrupted left it. A
 * Failure says which rollback was begun, where one was.
 */
export async function readiness(checkout: Checkout, before: Progress | null): Promise<LeftBehind | Failure> {
  const begun = before?.begun;
  const found =
    before && begun?.step === "checkout"
      ? refusing(checkout, await leftBehind(checkout, before.plan, begun.at))
      : ((await dirtiness(checkout)) ?? ({ status: "whole", locks: [], foreign: [] } as const));
  if (found.status !== "failed" || before === null) return found;
  const { plan } = before;
  return {
    ...found,
    reason:
      `${asSentence(found.reason)} A rollback to ${plan.tag} was begun there. ${reached(before)} ` +
      `Then start it again to go on, or go back: ${wayBack(plan, before)}`,
  };
}

/** What a forced checkout would lose is for a person. */
function refusing({ folder }: Checkout, left: LeftBehind | Failure): LeftBehind | Failure {
  if (left.status === "failed" || left.foreign.length === 0) return left;
  const some = left.foreign.slice(0, 3).map((path) => path.replace(/[\p{C}]/gu, "?"));
  return lasting(
    `${folder} has ${left.foreign.length} files that are of neither version, such as ${some.join(", ")}. Save them elsewhere.`,
  );
}

/** Whether anything of a rollback is still so: a person may have gone the way back. What cannot be told counts as so. */
export async function isAnythingLeft(
  { plan, done, begun }: Progress,
  left: LeftBehind,
  { checkout, context }: { readonly checkout: Checkout; readonly context: ActionContext },
): Promise<boolean> {
  if (checkout.head !== plan.from || left.status !== "whole") return true;
  const apps = plan.migrations.filter(({ app }) => [...done, begun?.step].includes(`migrations:${app}`));
  if (apps.length === 0) return false;
  const state = await migrationState(
    apps.flatMap(({ steps }) => steps),
    context,
  );
  return state.status === "failed" || state.happened.length > 0;
}

/** What can be said of a step that failed; null: it has certainly changed nothing. */
export async function doneInPart(
  plan: RollbackPlan,
  { begun }: Progress,
  context: ActionContext,
): Promise<string | null> {
  if (begun?.step === "checkout") {
    const checkout = await openCheckout(plan.checkout, context.signal);
    if (checkout.status === "failed") return "";
    const left = await leftBehind(checkout, plan, begun.at);
    return left.status === "whole" && checkout.head === plan.from ? null : "";
  }
  const migrations = plan.migrations.find(({ app }) => begun?.step === `migrations:${app}`);
  if (!migrations) return "";
  const state = await migrationState(migrations.steps, context);
  if (state.status === "failed") return ` (which of them are unapplied is not known: ${state.reason})`;
  if (state.happened.length === 0) return null;
  return ` (unapplied: ${state.happened.map(({ app, name }) => `${app}.${name}`).join(", ")})`;
}
