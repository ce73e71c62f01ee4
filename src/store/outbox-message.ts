/** A message of the outbox that somebody delivers, and how that came out. */

import type { JsonObject } from "../domain/json.ts";
import type { Topic } from "../domain/topic.ts";

/** A message in the hands of one deliverer, until its lease ends or another one takes it. */
export interface OutboxMessage {
  readonly id: string;
  readonly runId: string;
  readonly topic: Topic;
  /** What exactly it is about, where the topic alone does not say: the step that reports. */
  readonly about: string;
  readonly way: string;
  readonly policy: string;
  /** Counted from 0. */
  readonly level: number;
  /** With this one, since the last success; from 1. What stopped with its process is not counted. */
  readonly attempts: number;
  /** How often it was taken since it was last settled, with this time; from 1. */
  readonly taken: number;
  readonly place: JsonObject | null;
  readonly shownSeq: number;
  readonly fence: number;
}

/**
 * `withdrawn`: somebody has what it was about. `again`: it is tried later. `dead`: nobody tries any more, and it was never told. `given-up`: it was told, and cannot be
 * brought up to date. `lost`: another deliverer has it.
 */
export type Settled = "done" | "withdrawn" | "again" | "dead" | "given-up" | "lost";
