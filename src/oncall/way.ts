/** A way to reach people, and what is said over it. Whatever a way needs beyond this is in its own folder of oncall. */

import type { Labels } from "../domain/alert.ts";
import type { Outcome, RunEvent } from "../domain/event.ts";

/** What people are told of a run. Labels and annotations are untrusted text: a way escapes them for where they are shown. */
export interface Notice {
  /**
   * `handed-over`: the run could not heal its target and people must look. `recovered`: what was handed over has
   * resolved since, or somebody has it.
   */
  readonly kind: "handed-over" | "recovered";
  readonly run: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly outcome: Outcome;
  readonly reason: string;
  /** The escalation policy and its level, counted from 1. */
  readonly policy: string;
  readonly level: number;
  readonly levels: number;
  /** Stable for one firing of one alert: repeated escalations of it fold into one. */
  readonly episodeKey: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** RFC 3339; null where no alert started the run. */
  readonly startsAt: string | null;
  readonly story: readonly RunEvent[];
  /** Where the run can be read; null where no public address is configured. */
  readonly url: string | null;
  /** How to say that one has it: a command line and a REST call, ready to paste. */
  readonly acknowledge: { readonly command: string; readonly request: string };
}

/** `retryable`: it may pass, so it is tried again later; otherwise somebody must change something first. */
export type Delivered =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly retryable: boolean };

/** Delivers one notice. `to` is the way's own: an address, a routing key. Never rejects; gives up when the signal aborts. */
export type Deliver<To> = (notice: Notice, to: To, signal: AbortSignal) => Promise<Delivered>;
