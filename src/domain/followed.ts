/** How telling people went: what the outbox keeps of it. */

import type { JsonObject } from "./json.ts";

/**
 * How bringing what was told up to date went. `place` and `shownSeq` are kept in both cases: what was done of several
 * calls is not done again.
 */
export type Followed =
  | {
      readonly ok: true;
      readonly place: JsonObject | null;
      readonly shownSeq: number;
      /** Whom the first telling reached, for the run's history; null: this was not the first, or it is not to be told. */
      readonly told: string | null;
      /** Who of those to be told cannot be, and why, as a sentence; left out: nobody. */
      readonly refused?: string;
      /** Whether nothing that could still happen to the run would have to be told. */
      readonly done: boolean;
    }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly retryable: boolean;
      /** How long the other side asks to be left alone. */
      readonly retryAfterMs?: number;
      /** The other side is well, and takes no more for the moment: this is no trouble, it only takes longer. */
      readonly throttled?: boolean;
      readonly place: JsonObject | null;
      readonly shownSeq: number;
    };
