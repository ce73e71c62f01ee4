/** The route of episodes: the alerts as Paramedic knows them. */

import { z } from "zod";
import { cursorOf, page } from "./cursor.ts";
import { pageSize, readQuery } from "./fields.ts";
import { type Answer, type Call, json, type Route } from "./route.ts";
import type { ApiWorld } from "./world.ts";

const listQuery = z.strictObject({
  status: z.enum(["firing", "resolved"]).optional(),
  limit: pageSize,
  cursor: cursorOf("episodes").optional(),
});

export function episodeRoutes(world: ApiWorld): readonly Route[] {
  async function list({ query }: Call): Promise<Answer> {
    const read = readQuery(query, listQuery);
    if (!read.ok) return read.answer;
    const { status = null, limit, cursor = null } = read.value;
    const rows = await world.store.episodes({ status, limit: limit + 1, before: cursor });
    const { items, next } = page("episodes", rows, limit);
    return json({ episodes: items, next });
  }

  return [{ method: "GET", path: "/api/v1/episodes", role: "viewer", answer: list }];
}
