/** What an engineer can do from a terminal: see runs, start, stop and decide them, over the REST API. Each returns an exit code. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Answer, Client } from "./client.ts";
import {
  approvalLines,
  type ListedRun,
  mitigationLines,
  plain,
  runLines,
  type ShownApproval,
  type ShownMitigation,
  type ShownRun,
  storyLines,
} from "./print.ts";

/** The terminal. */
export interface Terminal {
  readonly client: Client;
  /** Machine-readable answers: the API's own JSON. */
  readonly json: boolean;
  out(line: string): void;
  err(line: string): void;
  /** Asks a person; null where nobody can answer. */
  confirm(question: string): Promise<boolean | null>;
}

interface SwitchState {
  readonly paused: boolean;
  readonly reason: string | null;
  readonly by: string | null;
  readonly until: string | null;
}

const followEveryMs = 500;

export async function listRuns(terminal: Terminal, filter: Readonly<Record<string, string>>): Promise<number> {
  const answer = await terminal.client.get<{ runs: readonly ListedRun[] }>(
    `/api/v1/runs?${new URLSearchParams(filter)}`,
  );
  return show(terminal, answer, ({ runs }) => (runs.length > 0 ? runLines(runs) : ["no such runs"]));
}

export async function showRun(terminal: Terminal, id: string, follow: boolean): Promise<number> {
  if (follow) return followRun(terminal, id);
  const answer = await runOf(terminal, id);
  return show(terminal, answer, (run) => [
    ...runLines([run]),
    ...storyLines(run.events),
    ...brokenHistory(run),
    ...openQuestions(run),
  ]);
}

/** Starts a playbook; `inputs` are `name=value`, whose values are JSON where they can be read as such. */
export async function startRun(
  terminal: Terminal,
  request: {
    readonly playbook: string;
    readonly target: string | null;
    readonly inputs: readonly string[];
    readonly reason: string;
    readonly dryRun: boolean;
    readonly follow: boolean;
  },
): Promise<number> {
  const inputs = parseInputs(request.inputs);
  if ("problem" in inputs) return refuse(terminal, inputs.problem, 2);
  const answer = await terminal.client.send<ShownRun>("POST", "/api/v1/runs", {
    playbook: request.playbook,
    ...(request.target === null ? {} : { target: request.target }),
    inputs: inputs.values,
    reason: request.reason,
    dryRun: request.dryRun,
  });
  if (!answer.ok || !request.follow) return show(terminal, answer, oneRun);
  if (!terminal.json) show(terminal, answer, oneRun);
  return followRun(terminal, answer.value.id);
}

export async function cancelRun(terminal: Terminal, given: string, reason: string): Promise<number> {
  const id = await wholeId(terminal, given);
  if (!id.ok) return refuse(terminal, id.message, 1);
  const path = `/api/v1/runs/${id.value}/cancel`;
  return show(terminal, await terminal.client.send<ShownRun>("POST", path, { reason }), () => [
    "it stops before its next change",
  ]);
}

/** Says that one has it, so that no later level of the escalation is told. */
export async function acknowledgeRun(terminal: Terminal, given: string): Promise<number> {
  const id = await wholeId(terminal, given);
  if (!id.ok) return refuse(terminal, id.message, 1);
  const path = `/api/v1/runs/${id.value}/acknowledge`;
  return show(terminal, await terminal.client.send<ShownRun>("POST", path, {}), () => [
    "it is yours; no later level is told",
  ]);
}

/** Decides the open question of a run. What is sent is the digest of exactly the effects that were shown. */
export async function decideRun(
  terminal: Terminal,
  id: string,
  decision: "approve" | "decline",
  options: { readonly reason: string | null; readonly yes: boolean },
): Promise<number> {
  const run = await runOf(terminal, id);
  if (!run.ok) return refuse(terminal, run.message, 1);
  const question = run.value.approvals.find(({ state }) => state === "pending");
  if (!question)
    return refuse(terminal, "this run does not ask for anything; `paramedic show` tells where it stands", 1);
  // Whoever is asked sees what about, also where standard output is read by a program.
  const tell = terminal.json ? terminal.err : terminal.out;
  if (!terminal.json || !options.yes) for (const line of approvalLines(question)) tell(line);
  if (!options.yes) {
    const sure = await terminal.confirm(`${decision} this? [y/N] `);
    if (sure === null)
      return refuse(terminal, "nobody can be asked here; repeat with --yes to decide what was just shown", 2);
    if (!sure) return refuse(terminal, "nothing was decided", 1);
  }
  const answer = await terminal.client.send<ShownApproval>("POST", `/api/v1/approvals/${question.id}`, {
    decision,
    digest: question.digest,
    ...(options.reason === null ? {} : { reason: options.reason }),
  });
  return show(terminal, answer, ({ state }) => [
    state === "pending" ? "counted; another person must approve too" : state,
  ]);
}

/** Shows the temporary changes in force, or all there were. */
export async function listMitigations(terminal: Terminal, all: boolean): Promise<number> {
  const answer = await terminal.client.get<{ mitigations: readonly ShownMitigation[] }>("/api/v1/mitigations");
  return show(terminal, answer, ({ mitigations }) => {
    const shown = all ? mitigations : mitigations.filter(({ state }) => state !== "reverted" && state !== "kept");
    return shown.length > 0 ? shown.flatMap(mitigationLines) : ["nothing is changed for a time"];
  });
}

/** Has a temporary change put back now, or keeps it for good. */
export async function decideMitigation(
  terminal: Terminal,
  id: string,
  decision: "revert" | "keep",
  reason: string,
): Promise<number> {
  const path = `/api/v1/mitigations/${encodeURIComponent(id)}/${decision}`;
  return show(terminal, await terminal.client.send<ShownMitigation>("POST", path, { reason }), () => [
    decision === "keep" ? "it stays" : "it is put back now, by a run of its own; `paramedic mitigations` shows which",
  ]);
}

export async function setSwitch(
  terminal: Terminal,
  change: { readonly paused: boolean; readonly reason: string; readonly until: string | null },
): Promise<number> {
  const answer = await terminal.client.send<SwitchState>("PUT", "/api/v1/switch", change);
  return show(terminal, answer, (state) =>
    state.paused
      ? [`paused${state.until ? ` until ${state.until}` : ""}: nothing is started; \`paramedic resume\` ends it`]
      : ["automation is on"],
  );
}

/** Tells the story as it goes on; as JSON, the run when it has ended. */
async function followRun(terminal: Terminal, given: string): Promise<number> {
  const { json } = terminal;
  let id = given;
  let told = 0;
  let asked: string | null = null;
  for (;;) {
    const answer = await runOf(terminal, id);
    if (!answer.ok) return refuse(terminal, answer.message, 1);
    const run = answer.value;
    id = run.id;
    if (!json) for (const line of storyLines(run.events.filter(({ seq }) => seq > told))) terminal.out(line);
    told = run.events.at(-1)?.seq ?? told;
    if (run.state === "ended") {
      if (json) show(terminal, answer, oneRun);
      return run.outcome === "fixed" || run.outcome === "nothing-to-do" ? 0 : 1;
    }
    const open = run.approvals.find(({ state }) => state === "pending");
    if (!json && open && open.id !== asked) for (const line of openQuestions(run)) terminal.out(line);
    asked = open?.id ?? asked;
    await sleep(followEveryMs);
  }
}

function brokenHistory({ brokenAt = null }: ShownRun): readonly string[] {
  return brokenAt === null
    ? []
    : [`do not trust this story: from event ${brokenAt} on it was changed in the database, behind Paramedic's back`];
}

function openQuestions(run: ShownRun): readonly string[] {
  return run.approvals.some(({ state }) => state === "pending")
    ? [`it waits for people: paramedic approve ${run.id}, or paramedic decline ${run.id}`]
    : [];
}

function oneRun(run: ShownRun): readonly string[] {
  return runLines([run]);
}

async function runOf(terminal: Terminal, given: string): Promise<Answer<ShownRun>> {
  const id = await wholeId(terminal, given);
  return id.ok ? terminal.client.get<ShownRun>(`/api/v1/runs/${id.value}`) : id;
}

/** So many runs are looked through for the beginning of an id. */
const mostLookedThrough = 200;

/** The id of the run whose id begins so, as Slack shows it; a whole id, or what cannot be one, is taken as it is. */
async function wholeId({ client }: Terminal, given: string): Promise<Answer<string>> {
  if (!/^[0-9a-f-]{8,35}$/i.test(given)) return { ok: true, value: encodeURIComponent(given) };
  const answer = await client.get<{ runs: readonly ListedRun[] }>(`/api/v1/runs?limit=${mostLookedThrough}`);
  if (!answer.ok) return answer;
  const ids = answer.value.runs.map(({ id }) => id).filter((id) => id.startsWith(given.toLowerCase()));
  const [id, another] = ids;
  if (id === undefined)
    return { ok: false, message: `None of the newest ${mostLookedThrough} runs has an id that begins with ${given}.` };
  if (another !== undefined)
    return {
      ok: false,
      message: `${ids.length} runs have ids that begin with ${given}; write more of it, such as ${id}.`,
    };
  return { ok: true, value: id };
}

function show<T>(terminal: Terminal, answer: Answer<T>, lines: (value: T) => readonly string[]): number {
  if (!answer.ok) return refuse(terminal, answer.message, 1);
  if (terminal.json) terminal.out(JSON.stringify(answer.value, null, 2));
  else for (const line of lines(answer.value)) terminal.out(line);
  return 0;
}

function refuse(terminal: Terminal, message: string, code: number): number {
  terminal.err(plain(message));
  return code;
}

function parseInputs(
  given: readonly string[],
): { readonly values: Record<string, unknown> } | { readonly problem: string } {
  const values: Record<string, unknown> = Object.create(null);
  for (const one of given) {
    const at = one.indexOf("=");
    if (at < 1) return { problem: `'${one}' is no input; write name=value` };
    values[one.slice(0, at)] = inputValue(one.slice(at + 1));
  }
  return { values };
}

function inputValue(text: string): unknown {
  return /^(true|false|-?\d+(\.\d+)?)$/.test(text) ? JSON.parse(text) : text;
}
