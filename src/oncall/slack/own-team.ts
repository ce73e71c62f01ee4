/** Which workspace Paramedic's own token belongs to. Asked for in the background, so that no start waits for Slack. */

import { setTimeout as sleep } from "node:timers/promises";
import { deadlineOf } from "../../domain/deadline.ts";
import { within } from "../within.ts";
import type { Origin } from "./click.ts";
import type { WebCall } from "./web-call.ts";
import type { DoorLog } from "./world.ts";

export interface Team {
  readonly id: string;
  /** The Enterprise Grid that it belongs to; null: none. */
  readonly enterprise: string | null;
}

export interface OwnTeam {
  /** The workspace, asked for at once and waited for up to `waitMs`; null: Slack has not said it yet. */
  known(waitMs: number): Promise<Team | null>;
  /** Asks until Slack answers or the signal aborts. Never rejects. */
  ask(signal: AbortSignal): Promise<void>;
}

const firstPauseMs = 1_000;
const longestPauseMs = 60_000;

export function createOwnTeam(call: WebCall, log: DoorLog): OwnTeam {
  let team: Team | null = null;
  let tell: (team: Team) => void = () => undefined;
  const told = new Promise<Team>((resolve) => {
    tell = resolve;
  });
  /** Ends the present pause. */
  let hurry = new AbortController();

  async function askOnce(signal: AbortSignal): Promise<number | null> {
    const answer = await call("auth.test", {}, signal);
    const id = answer.ok ? answer.response["team_id"] : null;
    if (answer.ok && typeof id === "string" && id !== "") {
      const enterprise = answer.response["enterprise_id"];
      team = { id, enterprise: typeof enterprise === "string" && enterprise !== "" ? enterprise : null };
      tell(team);
      log.info({ team: id }, "Slack knows the token; clicks and commands are taken");
      return null;
    }
    const reason = answer.ok ? "the answer of auth.test names no workspace" : answer.reason;
    if (!signal.aborted) log.warn({ reason }, "Slack has not confirmed the token yet; until then no click counts");
    return answer.ok ? 0 : (answer.retryAfterMs ?? 0);
  }

  return {
    known: async (waitMs) => {
      if (team !== null) return team;
      // Somebody clicks, so Slack works again.
      hurry.abort();
      const bounded = await within(waitMs, new AbortController().signal, () => told);
      return bounded.kind === "done" ? bounded.value : null;
    },
    ask: async (signal) => {
      for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
        hurry = new AbortController();
        const waitMs = await askOnce(signal);
        if (waitMs === null) return;
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
        const either = deadlineOf([signal, hurry.signal], null);
        await sleep(pauseMs, undefined, { signal: either.signal }).catch(() => undefined);
        either.release();
      }
    },
  };
}

/**
 * Why somebody is not from our workspace, as the end of a sentence that begins with their name; null: they are. In a
 * shared channel people of other companies see the buttons too, and what they press arrives with a valid signature.
 */
export function whyOutsider(from: Origin, own: Team): string | null {
  const teams = [from.userTeam, from.team].filter((one) => one !== null);
  const ours = (id: string) => id === own.id || id === own.enterprise;
  const other = teams.find((id) => !ours(id));
  if (other !== undefined) return `is from another workspace (${other})`;
  if (from.enterprise !== null && from.enterprise !== own.enterprise) {
    return `is from another organisation (${from.enterprise})`;
  }
  return teams.length === 0 ? "is from a workspace that Slack does not name" : null;
}
