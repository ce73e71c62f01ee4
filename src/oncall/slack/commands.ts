/** `/paramedic`: lists runs, starts, decides and pauses, each with the caller's role and by the same functions as REST. */

import { type Approval, whyNotCounted } from "../../domain/approval.ts";
import type { JsonObject } from "../../domain/json.ts";
import type { InputDeclaration } from "../../domain/playbook.ts";
import type { Role } from "../../domain/role.ts";
import { type Command, whoOf } from "./click.ts";
import { type Line, readLine } from "./command-line.ts";
import { code, moment, person } from "./escape.ts";
import { type Objection, objectionToApprover, objectionToOrigin, objectionToRole } from "./objections.ts";
import type { OwnTeam } from "./own-team.ts";
import type { Found } from "./people.ts";
import { tellCounted, tellPlan, tellRefused } from "./tell-answer.ts";
import type { ListedRun, SlackWorld, Switch } from "./world.ts";

/** The command that is to be configured in Slack. */
export const commandName = "/paramedic";

/** Does what somebody typed and says how that came out, in Slack's markup. Rejects where the store cannot be used. */
export type RunCommand = (command: Command, signal: AbortSignal) => Promise<string>;

const mostListed = 10;

const neededRoles: Readonly<Record<Exclude<Line["do"], "approve" | "decline">, Role>> = {
  runs: "viewer",
  help: "viewer",
  "ask-again": "viewer",
  run: "operator",
  pause: "approver",
  resume: "approver",
};

export function createCommands(world: SlackWorld, ownTeam: OwnTeam, now: () => number): RunCommand {
  const { log } = world;

  /** Rejects where the process stops: what could not be looked up for that is nothing against anybody. */
  async function lookUp(command: Command, fresh: boolean, signal: AbortSignal): Promise<Found> {
    const found = await world.people.find(command.from.user, { fresh }, signal);
    signal.throwIfAborted();
    return found;
  }

  async function decide(
    command: Command,
    line: Extract<Line, { do: "approve" | "decline" }>,
    signal: AbortSignal,
  ): Promise<string> {
    const by = whoOf(command.from);
    const caller = await lookUp(command, true, signal);
    const found = await world.pendingApprovalsOf(line.run);
    const runs = [...new Set(found.map(({ runId }) => runId))];
    const [approval] = found;
    const isStranger = objectionToRole(caller, "viewer", world.whoIsWho) !== null;
    const stranger = isStranger ? objectionToApprover(world, caller, approval?.approvers ?? []) : null;
    if (stranger) return turnAway(command, line, runs.length === 1 ? approval : undefined, stranger);
    if (!approval)
      return `No run whose id begins with ${code(line.run)} waits for approval. ${code(`${commandName} runs`)} lists runs.`;
    if (runs.length > 1) {
      return `${runs.length} runs that begin so wait for approval: ${runs.slice(0, 5).map(code).join(", ")}. Type more of the id.`;
    }
    const objection = objectionToApprover(world, caller, approval.approvers);
    if (objection) return refuse(command, approval, objection);
    const answered = await world.answer({
      approval: approval.id,
      decision: line.do,
      // What is decided is the plan that waits at this moment, and the answer shows it.
      digest: approval.digest,
      by,
      reason: line.do === "decline" ? line.reason : null,
    });
    if (answered.kind !== "answered") {
      const said = tellRefused(answered, world.whoIsWho);
      if (answered.kind === "not-found") return said;
      return refuse(command, approval, { reason: whyNotCounted(answered.kind), said });
    }
    world.hint([approval.runId]);
    const { state } = answered.approval;
    const fields = {
      who: by,
      what: `${line.do} a plan`,
      approval: approval.id,
      run: approval.runId,
      digest: approval.digest,
      state,
    };
    log.info(fields, "An approval was answered");
    const verdict = line.do === "decline" ? "You declined this:" : "You approved this:";
    const more = tellCounted(answered.approval, world.whoIsWho);
    return [verdict, ...tellPlan(answered.approval), ...(more === null ? [] : [more])].join("\n");
  }

  async function refuse(command: Command, approval: Approval, { reason, said }: Objection): Promise<string> {
    const who = whoOf(command.from);
    log.warn(
      { who, what: "decide by command", approval: approval.id, run: approval.runId, why: reason },
      "A command was refused",
    );
    await world.refuse(approval.id, who, reason);
    return said;
  }

  /** Somebody whose business this is not: they learn nothing of the run, and what they tried stands in its history. */
  async function turnAway(
    command: Command,
    line: Line,
    approval: Approval | undefined,
    objection: Objection,
  ): Promise<string> {
    if (approval) return refuse(command, approval, objection);
    log.warn({ who: whoOf(command.from), what: line.do, why: objection.reason }, "A command was refused");
    return objection.said;
  }

  /** The approval that an answer is about; undefined: the line is no answer, or names no single run that waits. */
  async function answeredBy(line: Line): Promise<Approval | undefined> {
    if (line.do !== "approve" && line.do !== "decline") return undefined;
    const found = await world.pendingApprovalsOf(line.run);
    return new Set(found.map(({ runId }) => runId)).size === 1 ? found[0] : undefined;
  }

  async function start(command: Command, line: Extract<Line, { do: "run" }>): Promise<string> {
    const { playbook, target, inputs, reason } = line;
    const wanted = { playbook, target, inputs, reason, dryRun: false };
    const requested = await world.requestRun({ ...wanted, by: whoOf(command.from), idempotencyKey: command.key });
    if (requested.kind === "no-such-playbook") {
      const names = world.playbooks.slice(0, 30).map(({ name }) => code(name));
      return `There is no playbook ${code(playbook)}. There are: ${names.join(", ") || "none"}.`;
    }
    if (requested.kind === "invalid") {
      const problems = requested.problems.slice(0, 10).map(({ field, message }) => `• ${code(field)} ${code(message)}`);
      return ["No run was started. This is wrong:", ...problems].join("\n");
    }
    const on = target === null ? "" : ` on ${code(target)}`;
    const show = code(`paramedic show ${requested.id}`);
    return `Started ${code(playbook)}${on}${tellInputs(inputs)}: run ${code(requested.id)}. ${show} tells its story.`;
  }

  async function turn(command: Command, line: Extract<Line, { do: "pause" | "resume" }>): Promise<string> {
    const by = whoOf(command.from);
    const paused = line.do === "pause";
    const until = line.do === "pause" && line.forMs !== null ? new Date(now() + line.forMs).toISOString() : null;
    const turned = await world.setSwitch({ paused, reason: line.reason, by, until });
    if (turned.woken.length > 0) world.hint(turned.woken);
    const fields = { who: by, what: line.do, reason: line.reason, until, woken: turned.woken.length };
    log.warn(fields, "The kill switch was turned");
    return tellSwitch(turned.switch);
  }

  async function list(): Promise<string> {
    const [runs, state] = await Promise.all([world.runs({ limit: mostListed }), world.readSwitch()]);
    const lines = runs.length === 0 ? ["There are no runs yet."] : runs.map(runLine);
    return [...(state.paused ? [tellSwitch(state)] : []), ...lines].join("\n");
  }

  return async (command, signal) => {
    const origin = await objectionToOrigin(ownTeam, command.from);
    const line = readLine(command.text, world.playbooks);
    signal.throwIfAborted();
    if (origin) return turnAway(command, line, await answeredBy(line), origin);
    if (line.do === "approve" || line.do === "decline") return decide(command, line, signal);
    const fresh = line.do === "run" || line.do === "pause" || line.do === "resume";
    const caller = await lookUp(command, fresh, signal);
    const objection = objectionToRole(caller, neededRoles[line.do], world.whoIsWho);
    if (objection) {
      const fields = { who: whoOf(command.from), what: line.do, why: objection.reason };
      log.warn(fields, "A command was refused");
      return objection.said;
    }
    switch (line.do) {
      case "run":
        return start(command, line);
      case "pause":
      case "resume":
        return turn(command, line);
      case "runs":
        return list();
      case "help":
        return help(world.playbooks);
      case "ask-again":
        return `${line.what} ${code(`${commandName} ${line.example}`)}`;
    }
  };
}

/** Whether a command may change something, so that it must not be done twice. */
export function changesSomething(text: string): boolean {
  return /^\s*(run|approve|decline|pause|resume)\b/i.test(text);
}

/** So much of an id tells runs apart that did not begin in the same millisecond. */
const shortId = 13;

function runLine(run: ListedRun): string {
  const standing = run.outcome ?? (run.waitingFor === null ? run.state : `waits for ${run.waitingFor}`);
  const where = run.target === null ? "" : ` on ${code(run.target)}`;
  return `${code(run.id.slice(0, shortId))} ${moment(run.createdAt)}: ${code(run.playbook)}${where}, ${standing}`;
}

function tellSwitch({ paused, reason, by, until }: Switch): string {
  if (!paused) return "Automation is on.";
  const end = until === null ? `until somebody types ${code(`${commandName} resume`)}` : `until ${moment(until)}`;
  return `Automation is paused ${end}: nothing is started. ${by === null ? "" : `${person(by)}: `}${code(reason ?? "")}`;
}

function tellInputs(inputs: JsonObject): string {
  const given = Object.entries(inputs).map(([name, value]) => code(`${name}=${String(value)}`));
  return given.length === 0 ? "" : ` with ${given.join(", ")}`;
}

function help(playbooks: SlackWorld["playbooks"]): string {
  const usages = [
    ["runs", "the newest runs"],
    ["run <playbook> <target> [input=value …] <reason>", "start a playbook"],
    ["approve <run>", "approve what the run asks for"],
    ["decline <run> <reason>", "decline it"],
    ["pause [duration] <reason>", "nothing is started any more"],
    ["resume", "automation goes on"],
  ] as const;
  const lines = usages.map(([usage, what]) => `${code(`${commandName} ${usage}`)}: ${what}`);
  const names = playbooks
    .slice(0, 20)
    .map((one) => `• ${code(one.name)}${inputNames(one.on.request?.inputs ?? {})}: ${code(one.summary)}`);
  return [...lines, ...(names.length > 0 ? ["Playbooks:", ...names] : [])].join("\n");
}

function inputNames(inputs: Readonly<Record<string, InputDeclaration>>): string {
  const names = Object.keys(inputs);
  return names.length === 0 ? "" : ` (${names.slice(0, 10).map(code).join(", ")})`;
}
