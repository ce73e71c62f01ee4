/** `POST /api/v1/runs`: an engineer asks for a run. The gate behind it is the one that alerts go through, too. */

import { z } from "zod";
import type { Json, JsonObject } from "../domain/json.ts";
import type { Playbook } from "../domain/playbook.ts";
import type { FieldProblem, Problem } from "../http/problem.ts";
import { invalidFields, isWritable, name, notWritable, type ReadBody, text } from "./fields.ts";
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

type Wanted = z.infer<typeof body>;

/** Makes the answer to a request for a run. `view` reads a run as everybody is shown it. */
export function createRunAnswer(
  world: ApiWorld,
  readBody: ReadBody,
  view: (id: string) => Promise<RunView | null>,
): (call: Call) => Promise<Answer> {
  const playbooks = new Map(world.playbooks.map((playbook) => [playbook.name, playbook]));
  const targets = world.targets.map((target) => target.name);

  return async ({ request, caller }) => {
    const read = await readBody(request, body);
    if (!read.ok) return read.answer;
    const key = keyOf(request.headers["idempotency-key"]);
    if (key === undefined) return refusal(invalidKey);
    const wanted = read.value;
    const playbook = playbooks.get(wanted.playbook);
    if (!playbook) return refusal(noSuchPlaybook);

    const target = chooseTarget(playbook, wanted.target ?? null, targets);
    const inputs = chooseInputs(world, playbook, wanted);
    if (!target.ok || !inputs.ok) {
      return refusal(invalidFields([...(target.ok ? [] : target.problems), ...(inputs.ok ? [] : inputs.problems)]));
    }

    const run = {
      id: world.newId(),
      playbook: playbook.name,
      playbookHash: playbook.hash,
      target: target.target,
      trigger: { kind: "request" as const, by: caller.who, reason: wanted.reason },
      inputs: inputs.inputs,
      dryRun: wanted.dryRun ?? false,
    };
    const { id, created } = await world.store.requests.create(run, caller.who, key);
    if (created) {
      world.hint([id]);
      const { playbook, target, dryRun } = run;
      world.log.info(
        { who: caller.who, what: "start a run", run: id, playbook, target, dryRun },
        "A run was requested",
      );
    }
    const stored = await view(id);
    if (!stored) throw new Error(`run ${id} was stored and cannot be found`);
    if (!created && !asks(stored, run)) {
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

type Chosen<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly problems: readonly FieldProblem[] };

function chooseTarget(
  playbook: Playbook,
  given: string | null,
  known: readonly string[],
): Chosen<{ readonly target: string | null }> {
  const wrong = (message: string) => ({ ok: false as const, problems: [{ field: "target", message }] });
  const choice = playbook.target;
  if (choice === null) {
    return given === null ? { ok: true, target: null } : wrong("must be left out: this playbook acts on no target");
  }
  if ("name" in choice) {
    if (given === null || given === choice.name) return { ok: true, target: choice.name };
    return wrong(`must be ${choice.name} or left out: this playbook always acts on that target`);
  }
  const names =
    known.length > 0 ? `the configured targets are ${known.join(", ")}` : "the configuration has no targets";
  if (given === null) return wrong(`is missing: ${names}`);
  return known.includes(given) ? { ok: true, target: given } : wrong(`is not a configured target: ${names}`);
}

/** A playbook that declares no request can be run by hand as it stands, as an alert would run it: without inputs. */
function chooseInputs(world: ApiWorld, playbook: Playbook, wanted: Wanted): Chosen<{ readonly inputs: JsonObject }> {
  const given = wanted.inputs ?? {};
  if (playbook.on.request === null) {
    if (Object.keys(given).length === 0) return { ok: true, inputs: {} };
    return {
      ok: false,
      problems: [{ field: "inputs", message: "must be left out: this playbook declares no inputs" }],
    };
  }
  const checked = world.checkInputs(playbook, given);
  if (checked.ok) {
    const unwritable = Object.entries(checked.inputs).filter(
      ([, value]) => typeof value === "string" && !isWritable(value),
    );
    if (unwritable.length === 0) return checked;
    return { ok: false, problems: unwritable.map(([input]) => ({ field: `inputs.${input}`, message: notWritable })) };
  }
  return { ok: false, problems: checked.problems.map((one) => ({ ...one, field: `inputs.${one.field}` })) };
}

/** Whether `stored` is what `run` asks for. The reason may differ: people word it anew when they try again. */
function asks(
  stored: RunView,
  run: Pick<RunView, "playbook" | "target" | "dryRun"> & { readonly inputs: Readonly<Record<string, Json>> },
): boolean {
  return (
    stored.playbook === run.playbook &&
    stored.target === run.target &&
    stored.dryRun === run.dryRun &&
    sorted(stored.inputs) === sorted(run.inputs)
  );
}

function sorted(inputs: Readonly<Record<string, Json>>): string {
  return JSON.stringify(Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1)));
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
