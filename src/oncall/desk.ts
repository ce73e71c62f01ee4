/** Tells people: looks which levels are due, delivers what is in the outbox, and records how that went. Works without the queue. */

import { deadlineOf } from "../domain/deadline.ts";
import type { Level } from "../domain/escalation.ts";
import type { Delivered, Notice } from "./way.ts";

/** A message of the outbox, as the store hands it out. */
export interface Message {
  readonly id: string;
  readonly runId: string;
  readonly way: string;
  readonly policy: string;
  /** Counted from 0. */
  readonly level: number;
  readonly attempts: number;
}

export interface DeskStore {
  /** Says which due escalations have a policy that `levelsOf` does not know. */
  advance(levelsOf: (policy: string) => readonly Level[] | null): Promise<{
    readonly unknown: readonly { readonly runId: string; readonly policy: string; readonly givenUp: boolean }[];
  }>;
  take(leaseMs: number): Promise<readonly Message[]>;
  delivered(message: Message, to: string): Promise<void>;
  /** `withdrawn`: somebody acknowledged meanwhile, so that nobody tries again. */
  failed(message: Message, reason: string, retryable: boolean): Promise<"again" | "dead" | "withdrawn">;
}

/** How one level of one policy is reached by one way; null where the configuration has no such way any more. */
export type Reach = (
  message: Message,
) => { readonly to: string; deliver(notice: Notice, signal: AbortSignal): Promise<Delivered> } | null;

export interface DeskOptions {
  readonly store: DeskStore;
  readonly levelsOf: (policy: string) => readonly Level[] | null;
  readonly reach: Reach;
  /** All that is to be said of the run; null where it cannot be found. */
  readonly notice: (message: Message) => Promise<Notice | null>;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly metrics: { noticeDelivered(way: string): void; noticeFailed(way: string, result: "again" | "dead"): void };
  readonly everyMs?: number;
}

export interface Desk {
  /** Starts nothing more and resolves when what is under way has come back. */
  stop(): Promise<void>;
}

/** One delivery may take this long; its lease is longer, so that nobody else delivers it meanwhile. */
const deliverWithinMs = 20_000;
const leaseMs = 30_000;

/** Starts the desk. It looks every second, and errors of the store only make it look again. */
export function openDesk(options: DeskOptions): Desk {
  const { store, log, everyMs = 1_000 } = options;
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> = Promise.resolve();

  async function round(): Promise<void> {
    const { unknown } = await store.advance(options.levelsOf);
    for (const one of unknown) complain(options, one);
    const messages = await store.take(leaseMs);
    await Promise.all(messages.map((message) => deliver(options, message, stopping.signal)));
  }

  function next(): void {
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => {
      working = round()
        .catch((error: Error) => log.warn({ err: error }, "could not look who is to be told; looking again"))
        .finally(next);
    }, everyMs);
  }

  next();
  return {
    stop: async () => {
      stopping.abort(new Error("the process is stopping"));
      clearTimeout(timer);
      await working;
    },
  };
}

function complain({ log }: DeskOptions, one: { runId: string; policy: string; givenUp: boolean }): void {
  const fields = { run: one.runId, policy: one.policy };
  if (one.givenUp) log.error(fields, "nobody was told of a run: its escalation policy is not configured");
  else log.error(fields, "a run waits for a worker that knows its escalation policy; correct `escalation` here");
}

async function deliver(options: DeskOptions, message: Message, stopping: AbortSignal): Promise<void> {
  const { store, log, metrics } = options;
  const fields = { run: message.runId, way: message.way, policy: message.policy, level: message.level + 1 };
  const reached = options.reach(message);
  const answer = reached
    ? await attempt(options, message, reached, stopping)
    : {
        ok: false as const,
        reason: "the configuration has no such level or way any more; correct `escalation`",
        retryable: false,
      };
  if (answer.ok) {
    await store.delivered(message, reached?.to ?? message.way);
    metrics.noticeDelivered(message.way);
    log.info(fields, "people were told of a run");
    return;
  }
  const result = await store.failed(message, answer.reason, answer.retryable);
  const failure = { ...fields, reason: answer.reason, attempts: message.attempts };
  if (result === "withdrawn") {
    log.info(failure, "people could not be told of a run, and need not be: somebody has it");
    return;
  }
  metrics.noticeFailed(message.way, result);
  if (result === "again") log.warn(failure, "people could not be told of a run; trying again");
  else log.error(failure, "people could not be told of a run, and nobody tries any more");
}

async function attempt(
  options: DeskOptions,
  message: Message,
  reached: NonNullable<ReturnType<Reach>>,
  stopping: AbortSignal,
): Promise<Delivered> {
  const notice = await options.notice(message);
  if (!notice) return { ok: false, reason: "the run cannot be found", retryable: false };
  const { signal, release } = deadlineOf([stopping], deliverWithinMs);
  try {
    return await reached.deliver(notice, signal);
  } catch (error) {
    return { ok: false, reason: (error as Error).message, retryable: true };
  } finally {
    release();
  }
}
