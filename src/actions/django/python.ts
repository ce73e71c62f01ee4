/**
 * Starts the target's own interpreter with call.py: argv only, no shell, none of Paramedic's environment, and a process
 * group of its own that is killed whole when the time is up, the signal aborts or the call has ended.
 */

import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ActionContext, Failure, Outcome } from "../../domain/action.ts";
import { deadlineOf } from "../../domain/deadline.ts";
import type { Json, JsonObject } from "../../domain/json.ts";
import type { DjangoTarget } from "../../domain/target.ts";
import { asSentence, lasting, passing } from "../failure.ts";
import { type Ended, runProgram } from "../program.ts";
import { readableReason, secretsOf, whatHappened } from "./reason.ts";

const script = fileURLToPath(new URL("./call.py", import.meta.url));
const largestAnswerBytes = 2 * 1024 * 1024;

/** What call.py is to do: `do` names one of its functions. */
export type Order = JsonObject & { readonly do: string };

type Unknown = Extract<Outcome, { status: "unknown" }>;

export interface Answered {
  readonly status: "answered";
  readonly value: Json;
}

/** Asks something of the Django project of the context's target that changes nothing there, within `limitMs`. */
export async function askDjango(context: ActionContext, order: Order, limitMs = 60_000): Promise<Answered | Failure> {
  const answer = await orderDjango(context, order, limitMs);
  return answer.status === "unknown" ? lasting(answer.reason) : answer;
}

/** Has something done there. `unknown`: it had begun, and ended without saying how far it came. */
export async function orderDjango(
  context: ActionContext,
  order: Order,
  limitMs = 3_600_000,
): Promise<Answered | Failure | Unknown> {
  const django = djangoOf(context);
  if ("status" in django) return django;
  const missing = await missingFolder(django.project);
  if (missing) return missing;
  const { signal, release } = deadlineOf([context.signal], limitMs);
  try {
    if (signal.aborted) return passing(`Stopped before ${django.python} was started.`);
    const ended = await run(django, order, signal);
    return read(ended, { django, context, signal, limitMs });
  } finally {
    release();
  }
}

/** The Django project of the context's target, or why there is none. */
export function djangoOf({ target }: ActionContext): DjangoTarget | Failure {
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  if (target.django) return target.django;
  return lasting(`The target ${target.name} has no Django project. Add django: to it in paramedic.yaml.`);
}

async function missingFolder(project: string): Promise<Failure | null> {
  const found = await stat(project).catch(() => null);
  if (found?.isDirectory()) return null;
  return lasting(`There is no folder ${project} here. Correct django.project, or give the target the host it is on.`);
}

function run(django: DjangoTarget, order: Order, signal: AbortSignal): Promise<Ended> {
  const { python, project, settings, env } = django;
  return runProgram({
    program: python,
    args: ["-B", "-X", "utf8", script, order.do],
    folder: project,
    ...(env && { env }),
    signal,
    largestBytes: largestAnswerBytes,
    // What a project writes, such as a cache in files, its own processes must be able to read.
    forOthers: true,
    input: `${JSON.stringify({ ...order, settings, project, secrets: secretsOf(env) })}\n`,
  });
}

interface Asked {
  readonly django: DjangoTarget;
  readonly context: ActionContext;
  /** The context's signal with the limit. */
  readonly signal: AbortSignal;
  readonly limitMs: number;
}

function read(ended: Ended, asked: Asked): Answered | Failure | Unknown {
  const lines = ended.output.split("\n").flatMap(parsed);
  const answer = lines.find((line) => "value" in line);
  if (answer) return { status: "answered", value: answer["value"] as Json };
  const begun = lines.some((line) => line["begun"] === true);
  const error = lines.find((line) => "error" in line)?.["error"];
  if (error !== undefined) {
    const failure = readableReason(error, asked.context.target?.name ?? "", asked.django);
    if (!begun) return failure;
    const happened = whatHappened(error);
    return lasting(happened === null ? failure.reason : `${asSentence(failure.reason)} ${happened}`);
  }
  const failure = silence(ended, asked);
  if (!begun) return failure;
  return { status: "unknown", reason: `It had begun, but not whether it was completed: ${failure.reason}` };
}

/** Why there is no answer. */
function silence(ended: Ended, { django, context, signal, limitMs }: Asked): Failure {
  const { python, project } = django;
  if (ended.unstarted) return lasting(`${python} cannot be started (${ended.unstarted}). Correct django.python.`);
  if (context.signal.aborted) return passing(`Stopped while ${python} worked in ${project}.`);
  if (signal.aborted) return passing(`${python} took longer than ${limitMs / 1_000} s in ${project}.`);
  if (ended.tooLarge) return lasting(`${python} answered more than ${largestAnswerBytes / 1_048_576} MiB.`);
  const how = ended.endedBy ? `by ${ended.endedBy}` : `with code ${ended.code}`;
  const last = ended.endedBy ? "" : ` ${lastLine(ended.errors, django)}`;
  return lasting(`${python} ended ${how} in ${project} without an answer.${last}`);
}

function parsed(line: string): readonly JsonObject[] {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? [value as JsonObject] : [];
  } catch {
    return [];
  }
}

/** The last line that was printed: of a Python that cannot even begin it is what is wrong. */
function lastLine(printed: string, { env }: DjangoTarget): string {
  let line = printed.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
  for (const secret of secretsOf(env)) line = line.replaceAll(secret, "[secret]");
  return line.replace(/\/\/[^\s/@]*@/g, "//").replace(/[^\P{C}]/gu, " ");
}
