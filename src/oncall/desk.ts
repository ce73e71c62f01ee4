/** Tells people: looks which levels are due, delivers what is in the outbox, and records how that went. Works without the queue. */

import { setMaxListeners } from "node:events";
import { deadlineOf } from "../domain/deadline.ts";
import { deliveryDelaysMs, type Level } from "../domain/escalation.ts";
import type { Followed } from "../domain/followed.ts";
import { type Rounds, startRounds } from "../domain/rounds.ts";
import { whyMoot } from "./moot.ts";
import { oneLine } from "./one-line.ts";
import type { Follow, Message, Subject } from "./way.ts";

/** A message as the store hands it out. `taken` counts since it was last settled, from 1. */
export type TakenMessage = Message & { readonly taken: number };

type Settled = "done" | "withdrawn" | "again" | "dead" | "given-up" | "lost";

export interface DeskStore {
  /** Says which due escalations have a policy that `levelsOf` does not know. */
  advance(levelsOf: (policy: string) => readonly Level[] | null): Promise<{
    readonly unknown: readonly { readonly runId: string; readonly policy: string; readonly givenUp: boolean }[];
  }>;
  /** Takes what is due by any other way than `busyWays`. */
  take(leaseMs: number, busyWays: readonly string[]): Promise<readonly TakenMessage[]>;
  settle(message: TakenMessage, followed: Followed): Promise<Settled>;
  withdraw(message: TakenMessage, reason: string): Promise<void>;
}

export interface DeskOptions {
  readonly store: DeskStore;
  readonly levelsOf: (policy: string) => readonly Level[] | null;
  /** What tells this message; null where the configuration has no such level, contact or way any more. */
  readonly reach: (message: Message) => Follow | null;
  /** All that this message is to say of its run; null where the run cannot be found. */
  readonly subject: (message: Pick<Message, "runId" | "way">) => Promise<Subject | null>;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly metrics: { noticeDelivered(way: string): void; noticeFailed(way: string, result: "again" | "dead"): void };
  /** Told of each run whose change may have waited until this was announced. */
  readonly onAnnounced?: (runId: string) => void;
  readonly everyMs?: number;
  /** How long a desk that stops waits for the deliveries under way, in milliseconds; 2 seconds where left out. */
  readonly lastMs?: number;
}

/** A way that hangs must not keep the others from being used. The store hands out as many of one way at a time. */
const mostOfOneWay = 20;
/** Where a way had more than was handed out, its next ones are fetched when so few of it are left under way. */
const fetchMoreAt = mostOfOneWay / 2;
/** One delivery may take this long; its lease is longer, so that nobody else delivers it meanwhile. */
const deliverWithinMs = 20_000;
const leaseMs = 30_000;
/** Whoever took it so often has stopped each time, so it may be what stops them. */
const mostTaken = deliveryDelaysMs.length + 4;
const longestReason = 1_000;
const usualLastMs = 2_000;

/**
 * Starts the desk. It looks every second, when nudged, and as soon as a way of which more is due is nearly through with
 * what it was given; errors of the store only make it look again. When it stops, it lets what is under way come back for a moment: a call that is broken off may have been heard, and is made again.
 */
export function openDesk(options: DeskOptions): Rounds {
  const { store, log, everyMs = 1_000, lastMs = usualLastMs } = options;
  const underWay = new Map<Promise<void>, string>();
  const breakOff = new AbortController();
  // Each delivery under way listens to it.
  setMaxListeners(0, breakOff.signal);
  /** The ways of which more may be due than is under way. */
  let crowded: ReadonlySet<string> = new Set();
  const countOf = (way: string) => [...underWay.values()].filter((one) => one === way).length;
  const rounds = startRounds(
    everyMs,
    async () => {
      await advance(options);
      const ways = [...underWay.values()];
      const taken = await store.take(leaseMs, fullOf(ways));
      crowded = new Set(fullOf([...ways, ...taken.map(({ way }) => way)]));
      for (const message of taken) {
        const delivery = deliver(options, message, breakOff.signal)
          .catch((error: Error) => log.warn({ err: error }, "could not record how people were told; it is told again"))
          .finally(() => {
            underWay.delete(delivery);
            if (crowded.has(message.way) && countOf(message.way) === fetchMoreAt) rounds.nudge();
          });
        underWay.set(delivery, message.way);
      }
    },
    (error) => log.warn({ err: error }, "could not look who is to be told; looking again"),
  );
  return {
    nudge: rounds.nudge,
    stop: async () => {
      await rounds.stop();
      const patience = setTimeout(() => breakOff.abort(new Error("the process is stopping")), lastMs);
      await Promise.all(underWay.keys());
      clearTimeout(patience);
    },
  };
}

/** The ways that have as much to do as they may. */
function fullOf(ways: readonly string[]): readonly string[] {
  return [...new Set(ways)].filter((way) => ways.filter((one) => one === way).length >= mostOfOneWay);
}

function complain({ log }: DeskOptions, one: { runId: string; policy: string; givenUp: boolean }): void {
  const fields = { run: one.runId, policy: one.policy };
  if (one.givenUp) log.error(fields, "nobody was told of a run: its escalation policy is not configured");
  else log.error(fields, "a run waits for a worker that knows its escalation policy; correct `escalation` here");
}

/** What is in the outbox is delivered even while the levels cannot be looked through. */
async function advance(options: DeskOptions): Promise<void> {
  try {
    const { unknown } = await options.store.advance(options.levelsOf);
    for (const one of unknown) complain(options, one);
  } catch (error) {
    options.log.warn({ err: error }, "could not look which levels are due; looking again");
  }
}

async function deliver(options: DeskOptions, message: TakenMessage, stopping: AbortSignal): Promise<void> {
  const { place, shownSeq } = message;
  if (message.taken > mostTaken) {
    const reason = `it was begun ${mostTaken} times, and whoever did so has stopped each time; see the logs of that time`;
    return settle(options, message, { ok: false, reason, retryable: false, place, shownSeq });
  }
  try {
    const followed = await follow(options, message, stopping);
    if (followed) await settle(options, message, followed);
  } catch (error) {
    // Left unsettled, it would be taken and fail in the same way for ever.
    options.log.warn({ err: error, run: message.runId, way: message.way }, "telling people of a run failed by a bug");
    const reason = `Paramedic itself failed (${oneLine((error as Error).message, longestReason)}); see its log`;
    await settle(options, message, { ok: false, reason, retryable: true, place, shownSeq });
  }
}

/** Tells it; null: it need not be told any more, which is recorded. */
async function follow(options: DeskOptions, message: TakenMessage, stopping: AbortSignal): Promise<Followed | null> {
  const subject = await options.subject(message);
  const moot = subject && whyMoot(message, subject);
  if (!moot) return attempt(options, message, subject, stopping);
  await options.store.withdraw(message, moot);
  options.log.info({ ...fieldsOf(message), reason: moot }, "people need not be told any more");
  return null;
}

function fieldsOf({ runId: run, topic, way, policy, level }: Message): object {
  return { run, topic, way, policy, level: level + 1 };
}

async function settle(options: DeskOptions, message: TakenMessage, followed: Followed): Promise<void> {
  const { store, log, metrics } = options;
  const { way, topic } = message;
  const fields = fieldsOf(message);
  // Postgres stores no NUL, and whoever reads a reason wants one line.
  const clean = followed.ok ? followed : { ...followed, reason: oneLine(followed.reason, longestReason) };
  const settled = await store.settle(message, clean);
  const isAnnounced = followed.ok ? followed.told !== null : settled === "dead";
  if (topic === "announcement" && isAnnounced) options.onAnnounced?.(message.runId);
  if (clean.ok) {
    if (clean.refused !== undefined) {
      log.warn({ ...fields, reason: clean.refused }, "some of those who were to be told of a run cannot be");
    }
    if (clean.told === null) return;
    metrics.noticeDelivered(way);
    log.info(fields, "people were told of a run");
    return;
  }
  const failure = { ...fields, reason: clean.reason, attempts: message.attempts };
  if (settled === "again" || settled === "dead") metrics.noticeFailed(way, settled);
  if (settled === "withdrawn") log.info(failure, "people could not be told of a run, and need not be: somebody has it");
  if (settled === "again") log.warn(failure, "people could not be told of a run; trying again");
  if (settled === "given-up") log.warn(failure, "what people were told of a run cannot be brought up to date");
  if (settled === "dead") log.error(failure, "people could not be told of a run, and nobody tries any more");
}

async function attempt(
  options: DeskOptions,
  message: Message,
  subject: Subject | null,
  stopping: AbortSignal,
): Promise<Followed> {
  const { place, shownSeq } = message;
  const failed = (reason: string, retryable: boolean): Followed => ({ ok: false, reason, retryable, place, shownSeq });
  if (!subject) return failed("the run cannot be found", false);
  const tells = options.reach(message);
  if (!tells) {
    return failed(
      "the configuration has no such level, contact or way any more; correct `escalation` or `contacts`",
      false,
    );
  }
  const { signal, release } = deadlineOf([stopping], deliverWithinMs);
  try {
    return await tells(message, subject, signal);
  } catch (error) {
    return failed((error as Error).message, true);
  } finally {
    release();
  }
}
