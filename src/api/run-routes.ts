/** The routes of runs: start, list, read, follow, cancel. */

import { z } from "zod";
import type { Problem } from "../http/problem.ts";
import { createRunAnswer } from "./create-run.ts";
import { cursorOf, page } from "./cursor.ts";
import { invalidFields, isId, name, pageSize, type ReadBody, readQuery, text } from "./fields.ts";
import { type Answer, type Call, json, type Route, refusal } from "./route.ts";
import type { RunStreams } from "./run-streams.ts";
import { type RunView, runLine, runView } from "./run-view.ts";
import type { ApiWorld } from "./world.ts";

const states = ["ready", "running", "waiting", "ended"] as const;
const outcomes = [
  "fixed",
  "ineffective",
  "nothing-to-do",
  "declined",
  "expired",
  "cancelled",
  "resolved",
  "refused",
  "failed",
  "unknown",
] as const;

const listQuery = z.strictObject({
  state: z.enum(states).optional(),
  outcome: z.enum(outcomes).optional(),
  playbook: name().optional(),
  target: name().optional(),
  limit: pageSize,
  cursor: cursorOf("runs").optional(),
});

const noQuery = z.strictObject({});
const eventsQuery = z.strictObject({ after: z.string().optional() });
const cancelBody = z.strictObject({ reason: text(1_000) });

export function runRoutes(world: ApiWorld, readBody: ReadBody, streams: RunStreams): readonly Route[] {
  const { store } = world;

  async function view(id: string): Promise<RunView | null> {
    let row = await store.run(id);
    if (!row) return null;
    const events = await store.events(id, 0);
    // It may have ended in between; the row and the events are to tell the same story.
    if (row.state !== "ended" && events.at(-1)?.type === "ended") row = (await store.run(id)) ?? row;
    const [approvals, playbook, brokenAt] = await Promise.all([
      store.approvals.ofRun(id),
      world.playbookOf(row.playbookHash),
      store.firstBrokenEvent(id),
    ]);
    if (brokenAt !== null)
      world.log.error({ run: id, seq: brokenAt }, "The history of a run was changed behind its back");
    return runView(row, events, approvals, playbook?.steps ?? null, brokenAt);
  }

  async function list({ query }: Call): Promise<Answer> {
    const read = readQuery(query, listQuery);
    if (!read.ok) return read.answer;
    const { state = null, outcome = null, playbook = null, target = null, limit, cursor = null } = read.value;
    const rows = await store.runs({ state, outcome, playbook, target, limit: limit + 1, before: cursor });
    const { items, next } = page("runs", rows, limit);
    return json({ runs: items.map(runLine), next });
  }

  async function one({ params, query }: Call): Promise<Answer> {
    const read = readQuery(query, noQuery);
    if (!read.ok) return read.answer;
    const run = isId(params["id"]) ? await view(params["id"]) : null;
    return run ? json(run) : refusal(noSuchRun);
  }

  async function follow({ request, params, query }: Call): Promise<Answer> {
    const read = readQuery(query, eventsQuery);
    if (!read.ok) return read.answer;
    const header = request.headers["last-event-id"];
    const after = positionOf(header === undefined ? read.value.after : String(header));
    if (after === null) return refusal(notAnEvent);
    const run = isId(params["id"]) ? await store.run(params["id"]) : null;
    if (!run) return refusal(noSuchRun);
    // With the event that the client has seen last, so that one which never was is found out.
    const [seen, ...rest] = await store.events(run.id, Math.max(0, after - 1));
    if (after > 0 && seen?.seq !== after) return refusal(notAnEvent);
    if (after > 0 && seen?.type === "ended") return { kind: "nothing-more" };
    if (streams.isFull()) return refusal(tooManyStreams);
    const first = after > 0 || !seen ? rest : [seen, ...rest];
    return { kind: "stream", start: (response) => streams.start(run.id, first, after, response) };
  }

  async function cancel({ request, params, caller }: Call): Promise<Answer> {
    const read = await readBody(request, cancelBody);
    if (!read.ok) return read.answer;
    const id = params["id"];
    const told = isId(id) ? await store.requests.cancel(id, caller.who, read.value.reason) : "not-found";
    if (!isId(id) || told === "not-found") return refusal(noSuchRun);
    const fields = { who: caller.who, what: "cancel a run", run: id };
    if (told === "already-ended") {
      world.log.warn(fields, "A cancel was refused because the run has ended");
      return refusal(alreadyEnded);
    }
    world.hint([id]);
    world.log.info({ ...fields, reason: read.value.reason }, "A run was cancelled");
    return json(await view(id));
  }

  async function acknowledge({ params, caller }: Call): Promise<Answer> {
    const id = params["id"];
    const answer = isId(id) ? await store.escalations.acknowledge(id, caller.who) : null;
    if (!isId(id) || !answer || answer.kind === "not-found") return refusal(noSuchRun);
    if (answer.kind === "not-escalated") return refusal(notEscalated);
    if (answer.kind === "already-acknowledged") {
      return refusal({ ...alreadyAcknowledged, detail: `${answer.by} has it; later levels are not told.` });
    }
    world.log.info({ who: caller.who, what: "acknowledge a run", run: id }, "An escalation was acknowledged");
    return json(await view(id));
  }

  return [
    { method: "POST", path: "/api/v1/runs", role: "operator", answer: createRunAnswer(world, readBody, view) },
    { method: "GET", path: "/api/v1/runs", role: "viewer", answer: list },
    { method: "GET", path: "/api/v1/runs/:id", role: "viewer", answer: one },
    { method: "GET", path: "/api/v1/runs/:id/events", role: "viewer", answer: follow },
    { method: "POST", path: "/api/v1/runs/:id/cancel", role: "operator", answer: cancel },
    { method: "POST", path: "/api/v1/runs/:id/acknowledge", role: "operator", answer: acknowledge },
  ];
}

/** The position that a client has come to, 0 for none; null where that is no position. */
function positionOf(given: string | undefined): number | null {
  if (given === undefined || given === "") return 0;
  return /^[0-9]{1,9}$/.test(given) ? Number(given) : null;
}

const noSuchRun: Problem = {
  status: 404,
  name: "no-such-run",
  title: "There is no run with this id",
  detail: "GET /api/v1/runs lists the runs there are.",
};

const alreadyEnded: Problem = {
  status: 409,
  name: "already-ended",
  title: "The run has ended",
  detail: "There is nothing left to cancel; GET it to see its outcome.",
};

const notAnEvent: Problem = {
  ...invalidFields([{ field: "Last-Event-ID", message: "must be the id of an event of this run, as must `after`" }]),
  detail: "Send the id of the last event that was received, or none to get all of them.",
};

const tooManyStreams: Problem = {
  status: 503,
  name: "too-many-streams",
  title: "Too many streams of events are open",
  detail: "Close some, or GET the run now and then in place of following it.",
};

const notEscalated: Problem = {
  status: 409,
  name: "not-escalated",
  title: "This run was not handed over to people",
  detail:
    "There is nothing to acknowledge: it has not ended in people's hands, or its playbook names no escalation policy.",
};

const alreadyAcknowledged: Problem = {
  status: 409,
  name: "already-acknowledged",
  title: "Somebody has it already",
};
