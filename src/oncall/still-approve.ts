/** Looks up again, before an approved plan is applied, whether those who approved it may still do so. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Person } from "../domain/approver.ts";
import type { Role } from "../domain/role.ts";

export interface StillApprove {
  /** The roles of the REST API's tokens, by name. */
  readonly tokens: ReadonlyMap<string, Role>;
  /** Who a Slack user is now; null where no Slack is configured. */
  readonly find:
    | ((
        user: string,
        signal: AbortSignal,
      ) => Promise<
        | { readonly ok: true; readonly person: Person }
        | { readonly ok: false; readonly refused: boolean; readonly reason: string; readonly retryable: boolean }
      >)
    | null;
  readonly whyNot: (person: Person, approvers: readonly string[]) => string | null;
}

export type MayStillApprove = (
  by: readonly string[],
  approvers: readonly string[],
  signal: AbortSignal,
) => Promise<{ readonly allowed: boolean; readonly reason: string | null }>;

const tryAgainAfterMs: readonly number[] = [500, 2_000];

/** What cannot be looked up is not allowed: the approval is withdrawn and asked for again. */
export function mayStillApprove(parts: StillApprove): MayStillApprove {
  return async (by, approvers, signal) => {
    for (const who of by) {
      const reason = await whyNot(parts, who, approvers, signal);
      if (reason !== null) return { allowed: false, reason: `${who} ${reason}` };
    }
    return { allowed: true, reason: null };
  };
}

/** The end of a sentence that begins with who it is; null: they may. */
async function whyNot(
  parts: StillApprove,
  who: string,
  approvers: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  if (who.startsWith("api:")) {
    const role = parts.tokens.get(who.slice("api:".length)) ?? null;
    return parts.whyNot({ who, role, groups: [] }, approvers);
  }
  if (!parts.find || !who.startsWith("slack:")) return "cannot be looked up here: the configuration has no Slack";
  for (let tries = 0; ; tries++) {
    const found = await parts.find(who.slice("slack:".length), signal);
    if (found.ok) return parts.whyNot(found.person, approvers);
    if (found.refused) return found.reason;
    const delay = found.retryable && !signal.aborted ? tryAgainAfterMs[tries] : undefined;
    if (delay === undefined) return `cannot be looked up any more: ${found.reason}`;
    await sleep(delay, undefined, { signal }).catch(() => undefined);
  }
}
