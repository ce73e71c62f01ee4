/** The two kinds of Failure that actions return. */

import type { Failure } from "../domain/action.ts";

/** A failure that trying again does not help: something has to be corrected first. */
export function lasting(reason: string): Failure {
  return { status: "failed", reason, retryable: false };
}

/** A failure that may pass by itself, and before which nothing was changed. */
export function passing(reason: string): Failure {
  return { status: "failed", reason, retryable: true };
}

/** A reason with a full stop, where a sentence follows. */
export function asSentence(reason: string): string {
  return /[.!?…]$/.test(reason) ? reason : `${reason}.`;
}
