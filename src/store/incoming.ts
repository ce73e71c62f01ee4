/** What Alertmanager told, as it is stored: an alert with the runs it is to start, and what became of it. */

import type { Alert, IgnoredReason } from "../domain/alert.ts";
import type { NewRun } from "./new-run.ts";

/** An alert and the runs it is to start if its episode has not started them yet. */
export interface IncomingAlert {
  /** A UUIDv7; used if the episode turns out to be new. */
  readonly episodeId: string;
  /** Which Alertmanagers this came from; members of one cluster share a source. */
  readonly source: string;
  readonly alert: Alert;
  readonly runs: readonly NewRun[];
}

export interface ReceivedRun {
  readonly id: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly created: boolean;
}

export type Received =
  | { readonly kind: "firing"; readonly episodeId: string; readonly runs: readonly ReceivedRun[] }
  | { readonly kind: "ignored"; readonly reason: Extract<IgnoredReason, "late-duplicate" | "resolved" | "invalid"> };

/** Which alert it is, whatever is told of it. */
export const keyOf = (one: IncomingAlert): string => `${one.source}\n${one.alert.fingerprint}`;

/**
 * Two Alertmanagers may have seen one alert start at slightly different times; a start that is later than this after
 * that of the open episode is a new firing, whose predecessor's end was never told (`send_resolved: false`).
 */
export const sameStart = "interval '60 s'";

/** How many alerts one statement stores; more are stored by several of one transaction. */
export const mostInOneStatement = 2_000;
