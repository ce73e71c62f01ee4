/** The hash chain of a run's events: each event's hash covers its exact text, its place and the hash before it. */

import { createHash } from "node:crypto";
import type { DatedHappening, RunEvent } from "../domain/event.ts";
import { storableText } from "../domain/writable.ts";

/** What the first event of a run follows. */
export const chainStart: Buffer = Buffer.alloc(32);

export interface Link {
  readonly seq: number;
  /** The JSON text of the event, as stored; `seq` is not part of it. */
  readonly text: string;
  readonly prevHash: Buffer;
  readonly hash: Buffer;
}

/** SHA-256 over the hash before, the run's id, the position and the text. */
export function hashOf(prevHash: Buffer, runId: string, seq: number, text: string): Buffer {
  return createHash("sha256").update(prevHash).update(`${runId}\n${seq}\n${text}`).digest();
}

/** The links that continue a chain after `seq` with these happenings. */
export function extend(
  runId: string,
  after: { readonly seq: number; readonly hash: Buffer },
  happenings: readonly DatedHappening[],
): readonly Link[] {
  const links: Link[] = [];
  let { seq, hash } = after;
  for (const happening of happenings) {
    seq += 1;
    const prevHash = hash;
    const text = storableText(happening);
    hash = hashOf(prevHash, runId, seq, text);
    links.push({ seq, text, prevHash, hash });
  }
  return links;
}

/** A stored event as the program uses it. */
export function eventOf(seq: number, stored: object): RunEvent {
  return { seq, ...stored } as RunEvent;
}

/** The position of the first event that does not fit its chain, or null where all do. */
export function firstBroken(
  runId: string,
  links: readonly { readonly seq: number; readonly text: string; readonly prevHash: Buffer; readonly hash: Buffer }[],
): number | null {
  let prev = chainStart;
  for (const [index, link] of links.entries()) {
    const fits =
      link.seq === index + 1 &&
      link.prevHash.equals(prev) &&
      link.hash.equals(hashOf(prev, runId, link.seq, link.text));
    if (!fits) return index + 1;
    prev = link.hash;
  }
  return null;
}
