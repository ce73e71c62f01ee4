/** The routes of the kill switch: how it stands, and turning it. */

import { z } from "zod";
import { invalidFields, type ReadBody, text } from "./fields.ts";
import { type Answer, type Call, json, type Route, refusal } from "./route.ts";
import type { ApiWorld } from "./world.ts";

const switchBody = z
  .strictObject({
    paused: z.boolean(),
    reason: text(1_000),
    until: z.iso
      .datetime({ offset: true, error: "must be a time in RFC 3339, such as 2030-01-31T12:00:00Z" })
      .transform((time) => new Date(time).toISOString())
      .nullish(),
  })
  .refine(({ paused, until }) => paused || !until, {
    path: ["until"],
    message: "must be left out unless `paused` is true: nothing turns the switch on by itself",
  });

export function switchRoutes(world: ApiWorld, readBody: ReadBody): readonly Route[] {
  const { switches } = world.store;

  async function turn({ request, caller }: Call): Promise<Answer> {
    const read = await readBody(request, switchBody);
    if (!read.ok) return read.answer;
    const { paused, reason, until = null } = read.value;
    if (until !== null && Date.parse(until) <= Date.now()) {
      return refusal(invalidFields([{ field: "until", message: "must be in the future" }]));
    }
    const turned = await switches.set({ paused, reason, by: caller.who, until });
    if (turned.woken.length > 0) world.hint(turned.woken);
    const fields = { who: caller.who, what: paused ? "pause" : "resume", reason, until, woken: turned.woken.length };
    world.log.warn(fields, "The kill switch was turned");
    return json(turned.switch);
  }

  return [
    {
      method: "GET",
      path: "/api/v1/switch",
      role: "viewer",
      answer: async (): Promise<Answer> => json(await switches.read()),
    },
    { method: "PUT", path: "/api/v1/switch", role: "approver", answer: turn },
  ];
}
