/** The cursors of lists: where the next page begins. Opaque to callers, and good for the list that gave them only. */

import { z } from "zod";
import { isId } from "./fields.ts";

/** Lists that are paged. */
export type List = "runs" | "episodes";

/** What a query string may say: a cursor becomes the id before which the page ends. */
export function cursorOf(list: List) {
  return z.string().transform((cursor, context) => {
    const [of, id, ...rest] = Buffer.from(cursor, "base64url").toString("utf8").split(" ");
    if (of === list && isId(id) && rest.length === 0) return id;
    context.addIssue({
      code: "custom",
      message: "must be the `next` of an answer of this list; leave it out for the first page",
    });
    return z.NEVER;
  });
}

/** A page of at most `limit` items out of one more that were asked for, and the cursor of the next page or null. */
export function page<Item extends { readonly id: string }>(
  list: List,
  found: readonly Item[],
  limit: number,
): { readonly items: readonly Item[]; readonly next: string | null } {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const next = found.length > limit && last ? Buffer.from(`${list} ${last.id}`).toString("base64url") : null;
  return { items, next };
}
