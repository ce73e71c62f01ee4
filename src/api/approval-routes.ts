/** The routes of approvals: what waits for people, and what they decide. */

import { z } from "zod";
import { type Answered, type Approval, whyNotCounted } from "../domain/approval.ts";
import type { Problem } from "../http/problem.ts";
import { isId, type ReadBody, readQuery, text } from "./fields.ts";
import { type Answer, type Call, json, type Route, refusal } from "./route.ts";
import type { ApiWorld } from "./world.ts";

const states = ["pending", "approved", "declined", "expired", "voided"] as const;

const mostListed = 1_000;

const listQuery = z.strictObject({ state: z.enum(states).optional() });

const decisionBody = z.strictObject({
  decision: z.enum(["approve", "decline"]),
  digest: text(200),
  reason: text(1_000).nullish(),
});

export function approvalRoutes(world: ApiWorld, readBody: ReadBody): readonly Route[] {
  const { approvals } = world.store;

  async function list({ query }: Call): Promise<Answer> {
    const read = readQuery(query, listQuery);
    if (!read.ok) return read.answer;
    return json({ approvals: await approvals.list({ state: read.value.state ?? null, limit: mostListed }) });
  }

  async function decide({ request, params, caller }: Call): Promise<Answer> {
    const read = await readBody(request, decisionBody);
    if (!read.ok) return read.answer;
    const id = params["id"];
    if (!isId(id)) return refusal(noSuchApproval);
    const { decision, digest, reason = null } = read.value;
    const asked = await approvals.find(id);
    const whyNot = asked && decision === "approve" ? await world.whyNotApprover(caller, asked.approvers) : null;
    if (whyNot !== null) {
      await approvals.refuse(id, caller.who, whyNot);
      world.log.warn({ who: caller.who, approval: id, why: whyNot }, "An answer to an approval was refused");
      return refusal({ ...notAmongApprovers, detail: `${caller.who} ${whyNot}; ask somebody who is.` });
    }
    const answered = await approvals.answer({ approval: id, decision, digest, by: caller.who, reason });
    const fields = { who: caller.who, what: `${decision} a plan`, approval: id };
    if (answered.kind === "answered") {
      const { runId: run, state, step } = answered.approval;
      world.hint([run]);
      world.log.info({ ...fields, run, step, digest, state }, "An approval was answered");
      return json(answered.approval);
    }
    if (answered.kind !== "not-found") await approvals.refuse(id, caller.who, whyNotCounted(answered.kind));
    world.log.warn({ ...fields, why: answered.kind }, "An answer to an approval was refused");
    return refusal(whyRefused(answered));
  }

  return [
    { method: "GET", path: "/api/v1/approvals", role: "viewer", answer: list },
    { method: "POST", path: "/api/v1/approvals/:id", role: "approver", answer: decide },
  ];
}

function whyRefused(answered: Exclude<Answered, { kind: "answered" }>): Problem {
  switch (answered.kind) {
    case "not-found":
      return noSuchApproval;
    case "own-request":
      return {
        status: 403,
        name: "own-request",
        title: "Whoever requested a run does not approve its changes",
        detail: "Ask somebody else to look at it; declining it is possible.",
      };
    case "expired":
      return {
        status: 409,
        name: "expired",
        title: "The time to decide is over",
        detail: `It ended at ${answered.approval.expiresAt}, and nothing was done. Request a new run if it is still needed.`,
      };
    case "digest-changed":
      return {
        status: 409,
        name: "digest-changed",
        title: "This is not the plan that waits for approval",
        detail: "Read the approval again, look at its effects, and decide with the digest it has now.",
      };
    case "answered-before":
      return {
        status: 409,
        name: "already-answered",
        title: "The same person has answered already",
        detail: `${answered.approval.atLeast} different people must approve this plan; ask another one.`,
      };
    case "already-decided":
      return { status: 409, name: "already-decided", title: "This is decided", detail: decidedBy(answered.approval) };
  }
}

/** Who decided, and when. */
function decidedBy({ state, decisions, decidedAt }: Approval): string {
  const last = decisions.at(-1);
  if (state === "voided" || !last) {
    return `It was withdrawn at ${decidedAt}: what would change is no longer what was asked, or is not needed. Look for another one of this run.`;
  }
  const people = decisions.map(({ by }) => by).join(", ");
  return `It was ${state} by ${state === "approved" ? people : last.by} at ${last.at}; nothing more is needed.`;
}

const notAmongApprovers: Problem = {
  status: 403,
  name: "not-an-approver",
  title: "This plan asks for other approvers",
};

const noSuchApproval: Problem = {
  status: 404,
  name: "no-such-approval",
  title: "There is no approval with this id",
  detail: "GET /api/v1/approvals?state=pending lists those that wait.",
};
