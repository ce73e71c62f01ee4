/** The routes of mitigations: which temporary changes are in force, putting one back now, keeping one. */

import { z } from "zod";
import type { Problem } from "../http/problem.ts";
import { isId, type ReadBody, readQuery, text } from "./fields.ts";
import { type Answer, type Call, json, type Route, refusal } from "./route.ts";
import type { ApiWorld } from "./world.ts";

const mostListed = 500;
const states = ["in-force", "reverting", "reverted", "kept", "failed"] as const;
const listQuery = z.strictObject({ state: z.enum(states).optional() });
const decisionBody = z.strictObject({ reason: text(1_000) });

export function mitigationRoutes(world: ApiWorld, readBody: ReadBody): readonly Route[] {
  const { mitigations } = world.store;

  async function list({ query }: Call): Promise<Answer> {
    const read = readQuery(query, listQuery);
    if (!read.ok) return read.answer;
    return json({ mitigations: await mitigations.list({ state: read.value.state ?? null, limit: mostListed }) });
  }

  function decide(decision: "revert" | "keep"): (call: Call) => Promise<Answer> {
    return async ({ request, params, caller }) => {
      const read = await readBody(request, decisionBody);
      if (!read.ok) return read.answer;
      const id = params["id"];
      if (!isId(id)) return refusal(noSuchMitigation);
      const { reason } = read.value;
      const decided = await mitigations.decide(id, decision, caller.who, reason);
      if (decided.kind === "not-found") return refusal(noSuchMitigation);
      if (decided.kind === "over") {
        return refusal({ ...isOver, detail: `It is ${decided.mitigation.state}; nothing is left to decide.` });
      }
      world.log.info(
        { who: caller.who, what: `${decision} a mitigation`, mitigation: id, reason },
        "A mitigation was decided",
      );
      return json(decided.mitigation);
    };
  }

  return [
    { method: "GET", path: "/api/v1/mitigations", role: "viewer", answer: list },
    { method: "POST", path: "/api/v1/mitigations/:id/revert", role: "operator", answer: decide("revert") },
    { method: "POST", path: "/api/v1/mitigations/:id/keep", role: "approver", answer: decide("keep") },
  ];
}

const noSuchMitigation: Problem = {
  status: 404,
  name: "no-such-mitigation",
  title: "There is no mitigation with this id",
  detail: "GET /api/v1/mitigations lists those there are.",
};

const isOver: Problem = { status: 409, name: "already-over", title: "The mitigation is over" };
