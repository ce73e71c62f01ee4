/** What becomes of a press of `Show all`: a window with every effect of the plan, for whoever has a role. It changes nothing. */

import { type Look, whoOf } from "./click.ts";
import { code } from "./escape.ts";
import { objectionToOrigin, objectionToRole } from "./objections.ts";
import type { OwnTeam } from "./own-team.ts";
import { planWindow, roomInWindow } from "./plan-window.ts";
import type { Reply } from "./reply.ts";
import type { WebCall } from "./web-call.ts";
import type { SlackWorld } from "./world.ts";

/**
 * Shows the plan that the button stands beside, on whichever message, also after the decision. Who may not look is told
 * so, and stands in the run's history. Never rejects.
 */
export type ShowAll = (look: Look, signal: AbortSignal) => Promise<void>;

export function createShowAll(parts: {
  readonly world: Pick<SlackWorld, "approval" | "refuse" | "people" | "whoIsWho" | "isOutage" | "log">;
  readonly call: WebCall;
  readonly ownTeam: OwnTeam;
  readonly reply: Reply;
}): ShowAll {
  const { world, call, ownTeam, reply } = parts;
  const { log } = world;

  async function show(look: Look, say: (text: string) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { from, run, trigger } = look;
    const [approval, origin, found] = await Promise.all([
      world.approval(look.approval),
      objectionToOrigin(ownTeam, from),
      world.people.find(from.user, { fresh: false }, signal),
    ]);
    // What could not be looked up because the process stops is nothing against anybody.
    signal.throwIfAborted();
    if (approval?.runId !== run) return say("There is no such plan any more.");
    const objection = origin ?? objectionToRole(found, "viewer", world.whoIsWho);
    if (objection) {
      const { reason } = objection;
      log.warn(
        { who: whoOf(from), what: "show a plan", approval: approval.id, run, why: reason },
        "A click was refused",
      );
      await world.refuse(approval.id, whoOf(from), reason);
      return say(objection.said);
    }
    const open = (room: number) =>
      call("views.open", { trigger_id: trigger ?? "", view: planWindow(approval, room) }, signal);
    const usual = await open(roomInWindow.usual);
    const opened = !usual.ok && usual.error === "view_too_large" ? await open(roomInWindow.spare) : usual;
    if (opened.ok) return;
    log.warn({ who: whoOf(from), run, reason: opened.reason }, "Slack did not open the window that shows a plan");
    await say(`The window could not be opened. Press Show all again, or use ${code(`paramedic show ${run}`)}.`);
  }

  return async (look, signal) => {
    const { user, channel } = look.from;
    const say = (text: string) => reply({ user, channel, responseUrl: null }, text, signal);
    try {
      await show(look, say, signal);
    } catch (error) {
      const fields = { err: error, who: whoOf(look.from), run: look.run };
      if (signal.aborted) return log.info(fields, "A plan was not shown, since the process stops");
      if (!world.isOutage(error)) return log.error(fields, "A plan could not be shown because of a bug");
      log.warn(fields, "A plan could not be shown because the store cannot be used");
      await say("Paramedic's database cannot be used at the moment. Try again in a minute.");
    }
  };
}
