/**
 * What becomes of a click: stored, acknowledged, checked, and then given to the same functions as any other answer. A
 * click whose process stopped in between is handled by whichever process finds it.
 */

import { type Approval, whyNotCounted } from "../../domain/approval.ts";
import type { JsonObject } from "../../domain/json.ts";
import { type Click, keptClick, type Origin, type Pressed, whoOf } from "./click.ts";
import { declineModal } from "./decline-modal.ts";
import { code } from "./escape.ts";
import {
  notCounted,
  type Objection,
  objectionToApprover,
  objectionToOrigin,
  objectionToRole,
  objectionToSecond,
  orCommandLine,
} from "./objections.ts";
import { createObjectionToMessage } from "./own-message.ts";
import type { OwnTeam } from "./own-team.ts";
import type { Reply } from "./reply.ts";
import { tellCounted, tellDecided, tellRefused } from "./tell-answer.ts";
import type { WebCall } from "./web-call.ts";
import type { SlackWorld } from "./world.ts";

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

/** Longer than a click takes while Slack answers nothing. */
const sweepLeaseMs = 60_000;
/** For a place to become known. It ends before other processes may sweep the click up, and that waits as long again. */
const placeWaitMs = 8_000;
/** The same where a window is to be opened, which Slack allows for 3 seconds. */
const placeWaitForWindowMs = 1_000;
/** From then on other processes may have swept up what this one has in hand. */
const aloneForMs = 9_000;

export function createClicks(parts: {
  readonly world: SlackWorld;
  readonly call: WebCall;
  readonly ownTeam: OwnTeam;
  readonly reply: Reply;
}): Clicks {
  const { world, call, ownTeam, reply } = parts;
  const { log } = world;
  const objectionToMessage = createObjectionToMessage(world, call);
  /** Those that this process has in hand, so that its own sweep leaves them alone. */
  const inHand = new Set<string>();

  /** Rejects where the process stops meanwhile, so that whoever sweeps the click up says it. */
  async function say(from: Origin, text: string, signal: AbortSignal): Promise<void> {
    await reply({ user: from.user, channel: from.channel, responseUrl: null }, text, signal);
    signal.throwIfAborted();
  }

  /** A click that does not count is said to its person, and stands in the run's history. */
  async function object(click: AnswerClick | AskClick, objection: Objection, signal: AbortSignal): Promise<void> {
    const { approval, run, from } = click;
    // What could not be looked up because the process stops is nothing against anybody.
    signal.throwIfAborted();
    log.warn({ who: whoOf(from), what: click.kind, approval, run, why: objection.reason }, "A click was refused");
    await world.refuse(approval, whoOf(from), objection.reason);
    await say(from, objection.said, signal);
  }

  async function objectionTo(
    click: AnswerClick | AskClick,
    approval: Approval,
    { fresh, waitMs }: { readonly fresh: boolean; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<Objection | null | "not-known-yet"> {
    const { from } = click;
    if (approval.runId !== click.run)
      return { reason: "named another run", said: tellRefused({ kind: "not-found" }, world.whoIsWho) };
    const origin = await objectionToOrigin(ownTeam, from);
    if (origin) return origin;
    const elsewhere = await objectionToMessage(from, approval, waitMs, signal);
    if (elsewhere) return elsewhere;
    return objectionToApprover(world, await world.people.find(from.user, { fresh }, signal), approval.approvers);
  }

  async function answer(click: AnswerClick, mayBeSecond: () => boolean, signal: AbortSignal): Promise<void> {
    const { from, digest } = click;
    const by = whoOf(from);
    const decision = click.kind;
    const approval = await world.approval(click.approval);
    if (approval === null) return noSuchApproval(click, signal);
    // It was counted, and whoever did that stopped, or was too slow, before it could be noted.
    const hasCounted = ({ decisions }: Approval) =>
      mayBeSecond() && decisions.some((one) => one.by === by && one.decision === decision);
    if (hasCounted(approval)) return;
    const objection = await objectionTo(click, approval, { fresh: true, waitMs: placeWaitMs }, signal);
    if (objection === "not-known-yet") throw new NotYet("It is not known yet whether the message counts.");
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
    if (answered.kind === "not-found") return noSuchApproval(click, signal);
    if (hasCounted(answered.approval)) return;
    const said = tellRefused(answered, world.whoIsWho);
    return object(click, { reason: whyNotCounted(answered.kind), said }, signal);
  }

  async function openWindow(click: AskClick, trigger: string | null, signal: AbortSignal): Promise<void> {
    const { from, approval: id, digest, run } = click;
    const approval = await world.approval(id);
    if (approval === null) return noSuchApproval(click, signal);
    const waitMs = trigger === null ? 0 : placeWaitForWindowMs;
    const objection = await objectionTo(click, approval, { fresh: false, waitMs }, signal);
    if (objection === "not-known-yet") return say(from, pressAgain(run), signal);
    if (objection) return object(click, objection, signal);
    if (approval.state !== "pending") {
      return object(click, { reason: whyNotCounted("already-decided"), said: tellDecided(approval) }, signal);
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

  async function acknowledge(click: AcknowledgeClick, mayBeSecond: () => boolean, signal: AbortSignal): Promise<void> {
    const { run, from } = click;
    const by = whoOf(from);
    const refuse = async ({ reason, said }: Objection) => {
      signal.throwIfAborted();
      log.warn({ who: by, what: "acknowledge a run", run, why: reason }, "A click was refused");
      await world.refuseAcknowledgement(run, by, reason);
      await say(from, said, signal);
    };
    const origin = await objectionToOrigin(ownTeam, from);
    const objection =
      origin ??
      objectionToRole(await world.people.find(from.user, { fresh: true }, signal), "operator", world.whoIsWho);
    if (objection) return refuse(objection);
    const answered = await world.acknowledge(run, by);
    switch (answered.kind) {
      case "acknowledged":
        return log.info({ who: by, what: "acknowledge a run", run }, "An escalation was acknowledged");
      case "already-acknowledged":
        if (mayBeSecond() && answered.by === by) return;
        return refuse(objectionToSecond(answered.by, by));
      default:
        return refuse({
          reason: "named a run that was not handed over",
          said: "There is nothing to have: this run was not handed over to people.",
        });
    }
  }

  async function decide(
    click: Click,
    trigger: string | null,
    mayBeSecond: () => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    switch (click.kind) {
      case "approve":
      case "decline":
        return answer(click, mayBeSecond, signal);
      case "ask-to-decline":
        return openWindow(click, trigger, signal);
      case "acknowledge":
        return acknowledge(click, mayBeSecond, signal);
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

  /** Does it, and notes that. What could not be done yet is left to be swept up. */
  async function finish(key: string, click: Click, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const fields = { who: whoOf(click.from), what: click.kind };
    try {
      await work();
      await world.clickHandled(key);
    } catch (error) {
      if (signal.aborted) return log.info(fields, "A click is left to other processes, since this one stops");
      if (error instanceof NotYet)
        return log.info({ ...fields, why: error.message }, "A click is looked at again later");
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
      if (kept === "new") {
        const beganAt = performance.now();
        const mayBeSecond = () => performance.now() - beganAt > aloneForMs;
        return hold(key, () => finish(key, click, signal, () => decide(click, trigger, mayBeSecond, signal)));
      }
      const rest = kept === "seen" ? again(pressed, signal) : say(click.from, lostClick(click), signal);
      await rest.catch((error: unknown) => log.warn({ err: error }, "Somebody could not be told about their click"));
    },
    sweep: async (signal) => {
      const sweepUp = async (key: string, kept: JsonObject): Promise<void> => {
        const click = keptClick(kept);
        if (click) return hold(key, () => finish(key, click, signal, () => decide(click, null, () => true, signal)));
        log.warn({ key }, "A stored click is of a kind that this version does not know; another one may");
      };
      while (!signal.aborted) {
        const left = await world.takeClicks(sweepLeaseMs);
        if (left.length === 0) return;
        // Together, so that Slack's silence about one of them does not outlast the lease of the others.
        await Promise.all(left.filter(({ key }) => !inHand.has(key)).map(({ key, click }) => sweepUp(key, click)));
      }
    },
  };
}

/** Something cannot be decided now, and can be later. */
class NotYet extends Error {}

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
