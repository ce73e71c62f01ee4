/** Looks up whether somebody may approve, and before an approved plan is applied whether those who approved it still may. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Person } from "../domain/approver.ts";
import type { Role } from "../domain/role.ts";

export interface StillApprove {
  /** The REST API's tokens by name: their roles, and the Slack user whose each is; null: nobody's. */
  readonly tokens: ReadonlyMap<string, { readonly role: Role; readonly slack: string | null }>;
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
      const reason = await whyMayNot(parts, who, approvers, signal);
      if (reason !== null) return { allowed: false, reason: `${who} ${reason}` };
    }
    return { allowed: true, reason: null };
  };
}

/** The end of a sentence that begins with who it is; null: they may. */
export async function whyMayNot(
  parts: StillApprove,
  who: string,
  approvers: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  if (who.startsWith("api:")) {
    const { role = null, slack = null } = parts.tokens.get(who.slice("api:".length)) ?? {};
    const why = parts.whyNot({ who, role, groups: [] }, approvers);
    if (why === null || slack === null || !parts.find) return why;
    const found = await lookUp(parts.find, slack, signal);
    if (found.ok) return parts.whyNot({ who, role, groups: found.person.groups }, approvers);
    return found.refused ? found.reason : `${why}, as far as it is known: ${found.reason}`;
  }
  if (!parts.find || !who.startsWith("slack:")) return "cannot be looked up here: the configuration has no Slack";
  const found = await lookUp(parts.find, who.slice("slack:".length), signal);
  if (found.ok) return parts.whyNot(found.person, approvers);
  return found.refused ? found.reason : `cannot be looked up any more: ${found.reason}`;
}

async function lookUp(find: NonNullable<StillApprove["find"]>, user: string, signal: AbortSignal) {
  for (let tries = 0; ; tries++) {
    const found = await find(user, signal);
    if (found.ok || found.refused) return found;
    const delay = found.retryable && !signal.aborted ? tryAgainAfterMs[tries] : undefined;
    if (delay === undefined) return found;
    await sleep(delay, undefined, { signal }).catch(() => undefined);
  }
}
