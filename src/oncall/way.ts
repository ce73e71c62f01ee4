/** What is said to people about a run, and what a way of saying it must do. Whatever a way needs beyond this is its own. */

import type { Risk } from "../domain/action.ts";
import type { Labels } from "../domain/alert.ts";
import type { Outcome, RunEvent } from "../domain/event.ts";
import type { Followed } from "../domain/followed.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Topic } from "../domain/topic.ts";

/** One row of the outbox: a topic that one way tells about one run. */
export interface Message {
  readonly id: string;
  readonly runId: string;
  readonly topic: Topic;
  /** What exactly it is about, where the topic alone does not say: the step that reports, the approval that waits. */
  readonly about: string;
  /** `email`, `pagerduty`, `slack`, `status-page`. */
  readonly way: string;
  /** The escalation policy, or the contact of a `notify` entry or of a report; empty for the other topics. */
  readonly policy: string;
  /** The level of the policy, or the entry of `notify`, counted from 0. */
  readonly level: number;
  /** With this one, since the last success; from 1. */
  readonly attempts: number;
  /**
   * Raised each time that it is taken, and never set back; from 1. From 2 on, somebody may have told it and stopped before
   * that was recorded.
   */
  readonly fence: number;
  /** What the way has kept of what it told before: where its message stands. Null: nothing was told yet. */
  readonly place: JsonObject | null;
  /** The number of the last event that what was told takes into account; 0: nothing was told yet. */
  readonly shownSeq: number;
}

/** What a playbook says of a step that changes something. */
export interface StepChange {
  /** The action's name: `postgres.cancel-queries`. */
  readonly action: string;
  readonly risk: Risk;
}

/** A page about another run for the same firing of the same alert: told, and not over. */
export interface OtherPage {
  readonly topic: Topic;
  readonly policy: string;
  readonly level: number;
  /** Whether somebody has that run. */
  readonly acknowledged: boolean;
}

/** All that can be said of a run. Labels and annotations are untrusted text: a way escapes them for where they are shown. */
export interface Subject {
  readonly run: string;
  readonly playbook: string;
  /** The playbook's one sentence; null where its text cannot be read any more. */
  readonly summary: string | null;
  /** The steps that change something, by their ids; none where the playbook's text cannot be read any more. */
  readonly changes: ReadonlyMap<string, StepChange>;
  readonly target: string | null;
  /** Null while the run goes on. */
  readonly ended: { readonly outcome: Outcome; readonly reason: string } | null;
  /** Stable for one firing of one alert: what is told of it by several runs folds into one. */
  readonly episodeKey: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** RFC 3339; null where no alert started the run. */
  readonly startsAt: string | null;
  /** Who asked for the run; null where nobody did. */
  readonly requestedBy: string | null;
  readonly story: readonly RunEvent[];
  /** Who has it; null: nobody has acknowledged. */
  readonly acknowledgedBy: string | null;
  /** It is over: the run ended well, or what was handed over has recovered since. */
  readonly recovered: boolean;
  /** What PagerDuty folds into one with what it is told of this run, where the routing key is the same; none for other ways. */
  readonly otherPages: readonly OtherPage[];
  /** Where the run can be read; null where no public address is configured. */
  readonly url: string | null;
  /** The address for calls from a command line; never null. */
  readonly baseUrl: string;
}

/** What an escalation level or a `notify` entry says, for ways that tell it in one message. */
export interface Notice {
  /**
   * `firing`: an alert fires and its playbook runs. `held`: the playbook has not fixed it in time and goes on.
   * `approval-unasked`: a change waits for approval, and could not be asked for in Slack. `handed-over`: the run could
   * not heal its target. `acknowledged`: somebody has what was told. `decided`: the change that waited does so no more.
   * `recovered`: what was told is over.
   */
  readonly kind: "firing" | "held" | "approval-unasked" | "handed-over" | "acknowledged" | "decided" | "recovered";
  /** What was told in the first place, to which what is said afterwards belongs. */
  readonly topic: Topic;
  /** What exactly that is about, where the topic alone does not say: the approval that waits. */
  readonly about: string;
  readonly run: string;
  readonly playbook: string;
  readonly summary: string | null;
  readonly changes: ReadonlyMap<string, StepChange>;
  readonly target: string | null;
  /** Null while the run goes on. */
  readonly outcome: Outcome | null;
  /** Why people are told, as a sentence's end. */
  readonly reason: string;
  /** The escalation policy or the contact, and its level, counted from 1. */
  readonly policy: string;
  readonly level: number;
  readonly levels: number;
  readonly episodeKey: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly startsAt: string | null;
  readonly story: readonly RunEvent[];
  readonly url: string | null;
  /** What the reader can do, ready to paste: to say that one has it, or to approve or decline what waits. */
  readonly actions: readonly NoticeAction[];
}

export interface NoticeAction {
  /** `Say that you have it`, `Approve`, `Decline`. */
  readonly label: string;
  readonly command: string;
  readonly request: string;
}

/** `retryable`: it may pass, so it is tried again later; otherwise somebody must change something first. */
export type Delivered =
  | {
      readonly ok: true;
      /** Which of several recipients were refused for good, and why; left out: none, all have it. */
      readonly refused?: { readonly who: readonly string[]; readonly reason: string };
    }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
      /** The other side is well, and takes no more for the moment. */
      readonly throttled?: boolean;
      /** Which of several recipients have it all the same. */
      readonly reached?: readonly string[];
      /** It is the recipients who are refused for good, each of them, and not what they were to be told. */
      readonly refusesAll?: boolean;
    };

/** Delivers one notice. `to` is the way's own: an address, a routing key. Never rejects; gives up when the signal aborts. */
export type Deliver<To> = (notice: Notice, to: To, signal: AbortSignal) => Promise<Delivered>;

/**
 * Tells what is new since `message.shownSeq`, first of all tells at all, by as many calls as that takes. Is called again
 * whenever the run's history has grown. Never rejects; gives up when the signal aborts.
 */
export type Follow = (message: Message, subject: Subject, signal: AbortSignal) => Promise<Followed>;
