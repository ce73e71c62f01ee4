/** JSON as text that is equal for equal values: a stored plan comes back with its keys in another order. */

import type { Json } from "../domain/json.ts";

/** The text of a value, with the keys of objects sorted. */
export function canonical(value: Json): string {
  return JSON.stringify(value, (_, inner: Json) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
