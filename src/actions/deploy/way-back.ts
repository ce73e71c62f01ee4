/** How far a rollback came and what a person does by hand to be where it began, with the step that is done only in part. */

import type { Progress, RollbackPlan } from "./progress.ts";

export type Reached = Pick<Progress, "done" | "begun">;

/** Whether it has begun anything. */
export function hasBegun({ done, begun }: Reached): boolean {
  return done.length > 0 || begun !== null;
}

/** What is done and what was begun; `more` is said of the latter. */
export function reached({ done, begun }: Reached, more = ""): string {
  const last = begun === null || done.includes(begun.step) ? "" : ` Begun: ${begun.step}${more}.`;
  return `Done: ${done.length === 0 ? "nothing" : done.join(", ")}.${last}`;
}

/** Commands for a person. Each of them does no harm where the step had not got so far. */
export function wayBack(plan: RollbackPlan, { done, begun }: Reached): string {
  const { checkout, branch, from, dependencies, caches, restart } = plan;
  const isReached = (id: string) => done.includes(id) || begun?.step === id;
  // What is there of both versions would be taken for changes by hand.
  const force = done.includes("checkout") ? "" : "--force ";
  const migrations = plan.migrations.filter(({ app }) => isReached(`migrations:${app}`)).flatMap(({ steps }) => steps);
  const newest = new Map(migrations.map(({ app, name }) => [app, name] as const).reverse());
  const lines = [
    ...(isReached("checkout") ? [`git -C ${checkout} checkout ${force}${branch ?? from}`] : []),
    ...(isReached("dependencies") && dependencies ? [dependencies.join(" ")] : []),
    ...[...newest].reverse().map(([app, name]) => `manage.py migrate ${app} ${name}`),
    ...caches.filter((cache) => isReached(`cache:${cache}`)).map((cache) => `empty the cache ${cache}`),
    ...restart.filter((unit) => isReached(`restart:${unit}`)).map((unit) => `systemctl restart ${unit}`),
  ];
  return lines.length === 0 ? "nothing needs to be done." : `${lines.join("; ")}.`;
}
