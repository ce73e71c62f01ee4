/** How far a rollback came: a small file in git's own folder of the checkout, which says what was planned and which steps are done. */

import { createHash } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Json } from "../../domain/json.ts";
import { canonical } from "../canonical.ts";
import type { Checkout } from "./git.ts";

const step = z.object({ app: z.string(), name: z.string(), backwards: z.boolean() });

export const planSchema = z.object({
  checkout: z.string(),
  /** The commits, and how they are called. */
  from: z.string(),
  branch: z.string().nullable(),
  to: z.string(),
  tag: z.string(),
  /** What is unapplied, app by app. */
  migrations: z.array(z.object({ app: z.string(), to: z.string(), steps: z.array(step) })),
  /** What is run for the dependencies; null: nothing. */
  dependencies: z.array(z.string()).nullable(),
  caches: z.array(z.string()),
  restart: z.array(z.string()),
});

export type RollbackPlan = z.output<typeof planSchema>;

const progressSchema = z.object({
  digest: z.string(),
  plan: planSchema,
  done: z.array(z.string()),
  /** The step that was begun and has not ended well, since when by this host's clock; earlier versions did not say. */
  begun: z.object({ step: z.string(), at: z.number() }).nullable().default(null),
  /** The restart that was begun, as systemd.restart planned it. */
  restarting: z.record(z.string(), z.string().nullable()).nullable(),
  finished: z.boolean(),
});

export type Progress = z.output<typeof progressSchema>;

/** Where nothing was done yet. */
export function begin(plan: RollbackPlan): Progress {
  return { digest: digestOf(plan), plan, done: [], begun: null, restarting: null, finished: false };
}

export function digestOf(plan: RollbackPlan): string {
  return createHash("sha256")
    .update(canonical(plan as Json))
    .digest("hex");
}

/**
 * What the last rollback of this checkout left behind; null where there was none, or where somebody has since checked out
 * something else, so that it says nothing about what is there now.
 */
export async function readProgress({ gitFolder, head }: Checkout): Promise<Progress | null> {
  const text = await readFile(fileIn(gitFolder), "utf8").catch(() => null);
  if (text === null) return null;
  const parsed = progressSchema.safeParse(json(text));
  if (!parsed.success) return null;
  const { plan, done } = parsed.data;
  const expected = done.includes("checkout") ? [plan.to] : [plan.from, plan.to];
  return expected.includes(head) ? parsed.data : null;
}

/** Keeps it, whole or not at all, before anything goes on. */
export async function writeProgress({ gitFolder }: Checkout, progress: Progress): Promise<void> {
  const path = fileIn(gitFolder);
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(JSON.stringify(progress));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

function fileIn(gitFolder: string): string {
  return join(gitFolder, "paramedic-rollback.json");
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
