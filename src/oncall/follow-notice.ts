/** For ways that tell in separate messages: the notice itself, and later, once each, that somebody has it and that it is over. */

import type { JsonObject } from "../domain/json.ts";
import { type FurtherKind, furtherNotice, noticeOf } from "./notice.ts";
import { isStillAsked } from "./question.ts";
import { amongOthers, toldOf } from "./reached.ts";
import type { Deliver, Follow, Message, Notice, OtherPage, Subject } from "./way.ts";

/** What a way says after the notice itself. */
export interface Tells {
  readonly acknowledged: boolean;
  readonly recovered: boolean;
  /**
   * That a change waits for approval no more. A way that says so keeps that question apart from what else is told of the
   * run: it folds into nothing, and is over once it is decided. Left out: no.
   */
  readonly decided?: boolean;
}

export interface NoticeWay<To extends string | readonly string[]> {
  readonly deliver: Deliver<To>;
  readonly to: To;
  /** Who is behind `to`, for the run's history; never a secret. */
  readonly told: string;
  /** How many levels the message's policy has. */
  readonly levels: (message: Message) => number;
  readonly tells: Tells;
  /** What folds into one with what is told: it must not be ended while one of these is open. Left out: nothing does. */
  readonly shared?: (subject: Subject) => readonly Pick<OtherPage, "acknowledged">[];
}

/** What is kept in the outbox: what was told, and who has what is being told. */
interface Place {
  readonly sent: readonly string[];
  readonly reached: readonly string[];
}

/**
 * What has recovered, or was decided, before it was told is not told at all: nobody is woken for what is over. Only a
 * contact's mail is sent all the same, and says that it is over. Each call tells at most one thing and says by
 * `shownSeq` whether more is left. Of several recipients, those who have it do not get it again when the others are
 * tried again, and who is refused for good keeps nobody else from having been told. What folds into one with others is acknowledged by the last that somebody has, and ended by the last that
 * is over.
 */
export function followNotice<To extends string | readonly string[]>(way: NoticeWay<To>): Follow {
  const { deliver, to, told, levels, tells } = way;
  return async (message, subject, signal) => {
    const before = placeOf(message.place);
    const isNew = before.sent.length === 0;
    const last = subject.story.at(-1)?.seq ?? message.shownSeq;
    if (isNew && before.reached.length === 0 && isOver(message, subject)) {
      return { ok: true, place: message.place, shownSeq: last, told: null, done: true };
    }
    const first = noticeOf(message, subject, levels(message));
    // Some have the notice and the others need it no more: all may hear that it is over.
    const { sent, reached } = isNew && subject.recovered ? { sent: [first.kind], reached: [] } : before;
    const [notice, ...later] = stillToTell(message, first, subject, sent, way);
    if (!notice) {
      return {
        ok: true,
        place: message.place,
        shownSeq: last,
        told: null,
        done: isDone(message, subject, sent, tells),
      };
    }
    const rest = without(to, reached);
    const delivered = rest.length > 0 ? await deliver(notice, rest, signal) : ({ ok: true } as const);
    const answer = typeof rest === "string" ? delivered : amongOthers(delivered, rest, reached);
    if (!answer.ok) {
      const { reached: more = [], refusesAll: _, ...failure } = answer;
      return { ...failure, place: asJson({ sent, reached: [...reached, ...more] }), shownSeq: message.shownSeq };
    }
    const now = [...sent, notice.kind];
    const { told: who, refused } = typeof to === "string" ? { told, refused: undefined } : toldOf(answer, to);
    return {
      ok: true,
      place: asJson({ sent: now, reached: [] }),
      // Whatever is told later has its cause in the history, so that there are two events at least.
      shownSeq: later.length > 0 ? Math.max(last - 1, 1) : last,
      told: isNew ? (refused === undefined ? told : who) : null,
      ...(refused === undefined ? {} : { refused }),
      done: later.length === 0 && isDone(message, subject, now, tells),
    };
  };
}

function isOver(message: Message, subject: Subject): boolean {
  // A contact hears of the run whatever becomes of it; a page would wake somebody.
  if (message.topic === "notify" && message.way !== "pagerduty") return false;
  if (subject.recovered) return true;
  return message.topic === "approval-unasked" && !isStillAsked(message, subject);
}

function stillToTell(
  message: Message,
  first: Notice,
  subject: Subject,
  sent: readonly string[],
  { tells, shared }: Pick<NoticeWay<string>, "tells" | "shared">,
): readonly Notice[] {
  const notices = sent.length === 0 ? [first] : [];
  const kind = isApart(message, tells) ? ofQuestion(message, subject) : furtherKind(subject, shared?.(subject) ?? []);
  if (kind === null || sent.includes(kind) || !tells[kind]) return notices;
  return [...notices, furtherNotice(first, kind, subject)];
}

/** Whether it is a question that the way keeps apart. */
function isApart({ topic }: Message, { decided = false }: Tells): boolean {
  return topic === "approval-unasked" && decided;
}

function ofQuestion(message: Message, subject: Subject): FurtherKind | null {
  if (!isStillAsked(message, subject)) return "decided";
  return subject.acknowledgedBy !== null ? "acknowledged" : null;
}

/** What there is to say of how it stands; null: nothing, or others are open with it of which it is not so. */
function furtherKind(
  { recovered, acknowledgedBy }: Subject,
  others: readonly Pick<OtherPage, "acknowledged">[],
): FurtherKind | null {
  if (recovered && others.length === 0) return "recovered";
  // What is left is in the hands of those who have it.
  const isTaken = recovered || acknowledgedBy !== null;
  return isTaken && others.every((other) => other.acknowledged) ? "acknowledged" : null;
}

/** Only what was handed over can be acknowledged, or recover after the run's end. */
function isDone(message: Message, subject: Subject, sent: readonly string[], tells: Tells): boolean {
  if (isApart(message, tells)) return sent.includes("decided");
  if (subject.recovered) return true;
  if (subject.ended && !subject.story.some(({ type }) => type === "escalated")) return true;
  return !tells.recovered && (!tells.acknowledged || sent.includes("acknowledged"));
}

function without<To extends string | readonly string[]>(to: To, reached: readonly string[]): To {
  return typeof to === "string" ? to : (to.filter((one) => !reached.includes(one)) as readonly string[] as To);
}

function asJson({ sent, reached }: Place): JsonObject {
  return reached.length > 0 ? { sent, reached } : { sent };
}

function placeOf(place: JsonObject | null): Place {
  const strings = (value: unknown) =>
    Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
  return { sent: strings(place?.["sent"]), reached: strings(place?.["reached"]) };
}
