/**
 * What becomes of a click: stored, acknowledged, checked, and then given to the same functions as any other answer. A
 * click whose process stopped in between is handled by whichever process finds it.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Approval } from "../../domain/approval.ts";
import type { JsonObject } from "../../domain/json.ts";
import { type Click, keptClick, type Origin, type Pressed, whoOf } from "./click.ts";
import { declineModal } from "./decline-modal.ts";
import { code, person } from "./escape.ts";
import {
  notCounted,
  type Objection,
  objectionToApprover,
  objectionToOrigin,
  objectionToPlace,
  objectionToRole,
  orCommandLine,
} from "./objections.ts";
import type { OwnTeam } from "./own-team.ts";
import type { Reply } from "./reply.ts";
import { tellCounted, tellDecided, tellRefused, whyRefused } from "./tell-answer.ts";
import type { WebCall } from "./web-call.ts";
import type { RecordPlace, SlackWorld } from "./world.ts";

type AnswerClick = Extract<Click, { readonly kind: "approve" | "decline" }>;
type AskClick = Extract<Click, { readonly kind: "ask-to-decline" }>;
type AcknowledgeClick = Extract<Click, { readonly kind: "acknowledge" }>;

/** `new`: stored now; `seen`: stored before; `lost`: it is not known to be stored. */
export type Kept = "new" | "seen" | "lost";

export interface Clicks {
  /** Stores a click. Never rejects. */
  keep(pressed: Pressed): Promise<Kept>;
  /** Does what is to be done about a click, by how it was kept. Never rejects; what could not be done yet is left for `sweep`. */
  handle(pressed: Pressed, kept: Kept, signal: AbortSignal): Promise<void>;
  /** Keeps `sweep` of this process away from a click while somebody else does it. Never rejects. */
  hold(key: string, work: () => Promise<void>): Promise<void>;
  /** Handles clicks whose process stopped before it had. Rejects where the store cannot be used. */
  sweep(signal: AbortSignal): Promise<void>;
}

const sweepLeaseMs = 30_000;
const placeAttempts = 3;
const placePauseMs = 500;

export function createClicks(parts: {
  readonly world: SlackWorld;
  readonly call: WebCall;
  readonly ownTeam: OwnTeam;
  readonly reply: Reply;
}): Clicks {
  const { world, call, ownTeam, reply } = parts;
  const { log } = world;
  /** Those that this process has in hand, so that its own sweep leaves them alone. */
  const inHand = new Set<string>();

  const say = (from: Origin, text: string, signal: AbortSignal): Promise<void> =>
    reply({ user: from.user, channel: from.channel, responseUrl: null }, text, signal);

  /** A click that does not count is said to its person, and stands in the run's history. */
  async function object(click: AnswerClick | AskClick, objection: Objection, signal: AbortSignal): Promise<void> {
    const { approval, run, from } = click;
    log.warn({ who: whoOf(from), what: click.kind, approval, run, why: objection.reason }, "A click was refused");
    await world.refuse(approval, whoOf(from), objection.reason);
    await say(from, objection.said, signal);
  }

  /** The place of a message that was posted this moment is stored a moment later. */
  async function placeOf(approval: Approval, signal: AbortSignal): Promise<RecordPlace | null> {
    for (let attempt = 1; ; attempt += 1) {
      const place = await world.recordPlace(approval.runId);
      if (place !== null || approval.state !== "pending" || attempt === placeAttempts) return place;
      await sleep(placePauseMs, undefined, { signal });
    }
  }

  async function objectionTo(
    click: AnswerClick | AskClick,
    approval: Approval,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Objection | null> {
    const { from } = click;
    if (approval.runId !== click.run)
      return { reason: "named another run", said: tellRefused({ kind: "not-found" }, world.whoIsWho) };
    const [place, origin] = await Promise.all([placeOf(approval, signal), objectionToOrigin(ownTeam, from)]);
    const elsewhere = origin ?? objectionToPlace(place, from, approval.runId);
    if (elsewhere) return elsewhere;
    return objectionToApprover(world, await world.people.find(from.user, { fresh }, signal), approval.approvers);
  }

  async function answer(click: AnswerClick, swept: boolean, signal: AbortSignal): Promise<void> {
    const { from, digest } = click;
    const by = whoOf(from);
    const decision = click.kind;
    const approval = await world.approval(click.approval);
    if (approval === null) return noSuchApproval(click, signal);
    // It was counted, and whoever did that stopped, or was too slow, before it could be noted.
    const hasCounted = ({ decisions }: Approval) =>
      swept && decisions.some((one) => one.by === by && one.decision === decision);
    if (hasCounted(approval)) return;
    const objection = await objectionTo(click, approval, true, signal);
    if (objection) return object(click, objection, signal);
    const reason = click.kind === "decline" ? click.reason : null;
    const answered = await world.answer({ approval: approval.id, decision, digest, by, reason });
    if (answered.kind === "answered") {
      const { runId: run, state, step } = answered.approval;
      world.hint([run]);
      log.info(
        { who: by, what: `${decision} a plan`, approval: approval.id, run, step, digest, state },
        "An approval was answered",
      );
      const more = tellCounted(answered.approval, world.whoIsWho);
      return more === null ? undefined : say(from, more, signal);
    }
    if (answered.kind !== "not-found" && hasCounted(answered.approval)) return;
    return object(click, { reason: whyRefused(answered), said: tellRefused(answered, world.whoIsWho) }, signal);
  }

  async function openWindow(click: AskClick, trigger: string | null, signal: AbortSignal): Promise<void> {
    const { from, approval: id, digest, run } = click;
    const approval = await world.approval(id);
    if (approval === null) return noSuchApproval(click, signal);
    const objection = await objectionTo(click, approval, false, signal);
    if (objection) return object(click, objection, signal);
    if (approval.state !== "pending") {
      return object(click, { reason: whyRefused({ kind: "already-decided" }), said: tellDecided(approval) }, signal);
    }
    if (trigger === null || from.channel === null || from.ts === null) return say(from, pressAgain(run), signal);
    const where = approval.target === null ? "" : ` on ${approval.target}`;
    const view = declineModal(
      { approval: id, digest, run, channel: from.channel, ts: from.ts },
      `The step ${approval.step} of ${approval.playbook}${where} is not done.`,
    );
    const opened = await call("views.open", { trigger_id: trigger, view }, signal);
    if (opened.ok) return;
    log.warn({ who: whoOf(from), approval: id, reason: opened.reason }, "Slack did not open the window for a reason");
    await say(from, pressAgain(run), signal);
  }

  async function noSuchApproval(click: AnswerClick | AskClick, signal: AbortSignal): Promise<void> {
    const { approval, run, from } = click;
    log.warn({ who: whoOf(from), what: click.kind, approval, run }, "A click names an approval that there is not");
    await say(from, tellRefused({ kind: "not-found" }, world.whoIsWho), signal);
  }

  async function acknowledge(click: AcknowledgeClick, swept: boolean, signal: AbortSignal): Promise<void> {
    const { run, from } = click;
    const by = whoOf(from);
    const origin = await objectionToOrigin(ownTeam, from);
    const objection =
      origin ??
      objectionToRole(await world.people.find(from.user, { fresh: true }, signal), "operator", world.whoIsWho);
    if (objection) {
      log.warn({ who: by, what: "acknowledge a run", run, why: objection.reason }, "A click was refused");
      await world.refuseAcknowledgement(run, by, objection.reason);
      return say(from, objection.said, signal);
    }
    const answered = await world.acknowledge(run, by);
    if (answered.kind === "acknowledged") {
      log.info({ who: by, what: "acknowledge a run", run }, "An escalation was acknowledged");
      return;
    }
    if (answered.kind === "already-acknowledged") {
      if (swept && answered.by === by) return;
      return say(
        from,
        `${answered.by === by ? "You have" : `${person(answered.by)} has`} it already; later levels are not told.`,
        signal,
      );
    }
    return say(from, "There is nothing to have: this run was not handed over to people.", signal);
  }

  async function decide(click: Click, trigger: string | null, swept: boolean, signal: AbortSignal): Promise<void> {
    switch (click.kind) {
      case "approve":
      case "decline":
        return answer(click, swept, signal);
      case "ask-to-decline":
        return openWindow(click, trigger, signal);
      case "acknowledge":
        return acknowledge(click, swept, signal);
      case "command":
        // Whoever typed it has long gone on; to do it now would surprise them.
        return say(
          click.from,
          `Paramedic was interrupted during ${code(`/paramedic ${click.text}`)}. Look whether it was done, and repeat it if not.`,
          signal,
        );
    }
  }

  /** The same click once more: whoever sent it again is told how it came out, and nothing else happens. */
  async function again({ click }: Pressed, signal: AbortSignal): Promise<void> {
    log.info({ who: whoOf(click.from), what: click.kind }, "A click was delivered more than once");
    if (click.kind !== "approve" && click.kind !== "decline") return;
    const approval = await world.approval(click.approval);
    if (approval !== null && approval.state !== "pending") await say(click.from, tellDecided(approval), signal);
  }

  /** Does it, and notes that. What the store's absence kept from being done is left to be swept up. */
  async function finish(key: string, click: Click, work: () => Promise<void>): Promise<void> {
    const fields = { who: whoOf(click.from), what: click.kind };
    try {
      await work();
      await world.clickHandled(key);
    } catch (error) {
      if (world.isOutage(error)) {
        return log.warn({ err: error, ...fields }, "A click is kept until the store can be used again");
      }
      log.error({ err: error, ...fields }, "A click failed by a bug");
      // It would fail again and again.
      await world.clickHandled(key).catch(() => undefined);
    }
  }

  async function hold(key: string, work: () => Promise<void>): Promise<void> {
    inHand.add(key);
    try {
      await work();
    } finally {
      inHand.delete(key);
    }
  }

  return {
    hold,
    keep: async ({ key, click }) => {
      try {
        return (await world.keepClick(key, click as unknown as JsonObject)) ? "new" : "seen";
      } catch (error) {
        log.error({ err: error, who: whoOf(click.from), what: click.kind }, "A click could not be stored");
        return "lost";
      }
    },
    handle: async (pressed, kept, signal) => {
      const { key, click, trigger } = pressed;
      if (kept === "new") return hold(key, () => finish(key, click, () => decide(click, trigger, false, signal)));
      const rest = kept === "seen" ? again(pressed, signal) : say(click.from, lostClick(click), signal);
      await rest.catch((error: unknown) => log.warn({ err: error }, "Somebody could not be told about their click"));
    },
    sweep: async (signal) => {
      for (const { key, click: kept } of await world.takeClicks(sweepLeaseMs)) {
        if (signal.aborted) return;
        if (inHand.has(key)) continue;
        const click = keptClick(kept);
        if (click) await finish(key, click, () => decide(click, null, true, signal));
        else log.warn({ key }, "A stored click is of a kind that this version does not know; another one may");
      }
    },
  };
}

function pressAgain(run: string): string {
  return `${notCounted} The window for your reason could not be opened. Press Decline again, ${orCommandLine(run)}.`;
}

function lostClick(click: Click): string {
  return `Paramedic's database did not confirm your click, so it may not be recorded. Click again, ${otherwise(click)}.`;
}

function otherwise(click: Click): string {
  if (click.kind === "command") return "or use the command line";
  return click.kind === "acknowledge" ? `or use ${code(`paramedic ack ${click.run}`)}` : orCommandLine(click.run);
}
