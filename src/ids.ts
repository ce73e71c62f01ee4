/** Makes the ids of runs, episodes and approvals: UUIDv7, which sort by the time they were made. */

import { v7 } from "uuid";

/** A new UUIDv7 (RFC 9562). */
export function newId(): string {
  return v7();
}
