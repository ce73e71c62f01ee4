/** What an action is given in tests: a context that remembers what was logged, and a password to look for everywhere. */

import type { ActionContext } from "../../src/domain/action.ts";
import type { JsonObject } from "../../src/domain/json.ts";
import type { Target } from "../../src/domain/target.ts";

/** The password in every URL that tests configure. It must never be shown to anybody. */
export const canary = "canary-5d1f9b";

/** A context for `target` that appends every log line to `lines`. */
export function contextFor(
  target: Target | null,
  signal: AbortSignal = new AbortController().signal,
  lines: string[] = [],
): ActionContext {
  const log = (fields: JsonObject, message: string) => {
    lines.push(JSON.stringify({ ...fields, message }));
  };
  return { target, signal, log: { info: log, warn: log }, now: Date.now };
}

/** A target with nothing but a name, for adding the part under test. */
export const bareTarget: Target = { name: "shop", host: null, labels: {} };
