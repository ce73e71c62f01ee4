/** `POST /api/v1/runs`: an engineer asks for a run. The gate behind it is the one that alerts go through, too. */

import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { JsonObject } from "../domain/json.ts";
import type { Problem } from "../http/problem.ts";
import { invalidFields, name, type ReadBody, text } from "./fields.ts";
import { type Answer, type Call, json, refusal } from "./route.ts";
import type { RunView } from "./run-view.ts";
import type { ApiWorld } from "./world.ts";

const body = z.strictObject({
  playbook: name(),
  target: name().nullish(),
  // Looked at by the playbook's own declarations; a copy of it would lose a name such as `__proto__` unseen.
  inputs: z
    .custom<JsonObject>(
      (value) => typeof value === "object" && value !== null && !Array.isArray(value),
      "must be an object",
    )
    .optional(),
  reason: text(1_000),
  dryRun: z.boolean().optional(),
});

/** Makes the answer to a request for a run. `view` reads a run as everybody is shown it. */
export function createRunAnswer(
  world: ApiWorld,
  readBody: ReadBody,
  view: (id: string) => Promise<RunView | null>,
): (call: Call) => Promise<Answer> {
  return async ({ request, caller }) => {
    const read = await readBody(request, body);
    if (!read.ok) return read.answer;
    const key = keyOf(request.headers["idempotency-key"]);
    if (key === undefined) return refusal(invalidKey);
    const { target = null, inputs = {}, dryRun = false, ...wanted } = read.value;
    const requested = await world.requestRun({
      ...wanted,
      target,
      inputs,
      dryRun,
      by: caller.who,
      idempotencyKey: key,
    });
    if (requested.kind === "no-such-playbook") return refusal(noSuchPlaybook);
    if (requested.kind === "invalid") return refusal(invalidFields(requested.problems));
    const { id, run } = requested;
    const created = requested.kind === "created";
    const stored = await view(id);
    if (!stored) throw new Error(`run ${id} was stored and cannot be found`);
    if (!created && !asks(stored, run, inputs)) {
      const fields = { who: caller.who, what: "start a run", run: id, playbook: run.playbook };
      world.log.warn(fields, "An idempotency key was refused because it stands for another request");
      return refusal(reusedKey(id));
    }
    return json(stored, created ? 201 : 200, { location: `/api/v1/runs/${id}` });
  };
}

/** Null: none was given. Undefined: it is no key. */
function keyOf(header: string | string[] | undefined): string | null | undefined {
  if (header === undefined) return null;
  return typeof header === "string" && /^[\x21-\x7e]{1,255}$/.test(header) ? header : undefined;
}

/** Whether `stored` is what `run` asks for. The reason may differ: people word it anew when they try again. */
function asks(
  stored: RunView,
  run: Pick<RunView, "playbook" | "target" | "dryRun" | "inputs">,
  given: JsonObject,
): boolean {
  return (
    stored.playbook === run.playbook &&
    stored.target === run.target &&
    stored.dryRun === run.dryRun &&
    sameInputs(stored, run.inputs, given)
  );
}

/** What neither of the two requests gave is no difference between them: the playbook's defaults may have changed meanwhile. */
function sameInputs({ inputs, trigger }: RunView, filled: RunView["inputs"], given: JsonObject): boolean {
  const defaults = ("defaults" in trigger && trigger.defaults) || [];
  const givenByOne = [...new Set([...Object.keys(inputs), ...Object.keys(given)])].filter(
    (name) => Object.hasOwn(given, name) || !defaults.includes(name),
  );
  return givenByOne.every((name) => isDeepStrictEqual(inputs[name], filled[name]));
}

const noSuchPlaybook: Problem = {
  status: 404,
  name: "no-such-playbook",
  title: "No playbook of this name is loaded",
  detail: "GET /api/v1/playbooks names those that are.",
};

const invalidKey: Problem = {
  status: 422,
  name: "invalid-idempotency-key",
  title: "The Idempotency-Key cannot be used",
  detail: "Send one of 1 to 255 printable ASCII characters without spaces, such as a UUID, or none.",
  errors: [{ field: "Idempotency-Key", message: "must have 1 to 255 printable ASCII characters without spaces" }],
};

function reusedKey(run: string): Problem {
  return {
    status: 422,
    name: "idempotency-key-reused",
    title: "This Idempotency-Key was used for another request",
    detail: `It started run ${run}, with another playbook, target, inputs or dryRun. Use a new key for a new request.`,
    errors: [{ field: "Idempotency-Key", message: "was used for another request" }],
  };
}
