/** The gate for runs that people ask for: REST, the command line and Slack all come through it, as alerts come through `accept`. */

import type { Trigger } from "../domain/event.ts";
import type { JsonObject } from "../domain/json.ts";
import { whyClosed } from "../domain/maintenance-window.ts";
import type { Playbook } from "../domain/playbook.ts";
import type { Target } from "../domain/target.ts";
import { isWritable } from "../domain/writable.ts";
import { holdOf, type NewRun } from "./accept.ts";
import { checkInputs } from "./inputs.ts";
import { whyNotTogether } from "./requires.ts";

/** What somebody wants; nothing of it has been looked at yet but its shape. */
export interface WantedRun {
  readonly playbook: string;
  readonly target: string | null;
  readonly inputs: JsonObject;
  readonly reason: string;
  readonly dryRun: boolean;
  /** As the door knows them: `api:oncall-cli`, `slack:U024BE7LH`. */
  readonly by: string;
  /** Repeated by the same person, it answers with the run it made before; null: none was given. */
  readonly idempotencyKey: string | null;
}

export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** `run` is what was asked for, also where the key led to one that was made before. */
export type RequestedRun =
  | { readonly kind: "created" | "known"; readonly id: string; readonly run: NewRun }
  | { readonly kind: "no-such-playbook" }
  | { readonly kind: "invalid"; readonly problems: readonly FieldProblem[] };

export type RequestRun = (wanted: WantedRun) => Promise<RequestedRun>;

export interface RequestOptions {
  /** Those that are loaded, with distinct names. */
  readonly playbooks: readonly Playbook[];
  readonly targets: readonly Pick<Target, "name" | "postgres">[];
  /** Rejects where it cannot be used. */
  readonly store: {
    /** Stores the run, or finds the one that the key stands for. */
    create(
      run: NewRun & { readonly trigger: Extract<Trigger, { readonly kind: "request" }> },
      requester: string,
      idempotencyKey: string | null,
    ): Promise<{ readonly id: string; readonly created: boolean }>;
    /** The run that the key stands for; null: none. */
    known(requester: string, idempotencyKey: string): Promise<string | null>;
  };
  /** Tells the queue, after the commit. */
  readonly hint: (runIds: readonly string[]) => void;
  readonly newId: () => string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: { info(fields: object, message: string): void };
}

export function createRequestRun(options: RequestOptions): RequestRun {
  const playbooks = new Map(options.playbooks.map((playbook) => [playbook.name, playbook]));
  const targets = options.targets.map((target) => target.name);

  return async (wanted) => {
    const playbook = playbooks.get(wanted.playbook);
    if (!playbook) return { kind: "no-such-playbook" };
    const target = chooseTarget(playbook, wanted.target, targets);
    const inputs = chooseInputs(playbook, wanted.inputs);
    if (!target.ok || !inputs.ok) {
      return {
        kind: "invalid",
        problems: [...(target.ok ? [] : target.problems), ...(inputs.ok ? [] : inputs.problems)],
      };
    }
    const defaults = Object.keys(inputs.inputs).filter((name) => !Object.hasOwn(wanted.inputs, name));
    const run = {
      id: options.newId(),
      playbook: playbook.name,
      playbookHash: playbook.hash,
      target: target.target,
      trigger: {
        kind: "request" as const,
        by: wanted.by,
        reason: wanted.reason,
        ...(defaults.length > 0 && { defaults }),
      },
      inputs: inputs.inputs,
      dryRun: wanted.dryRun,
      hold: wanted.dryRun ? null : holdOf(playbook),
    };
    const closed = wanted.dryRun ? null : whyNotNow(playbook, target.target, options);
    if (closed !== null) {
      // Asked again after the window, for example since the answer was lost: what was made in it is still the answer.
      const { by, idempotencyKey: key } = wanted;
      const before = key === null ? null : await options.store.known(by, key);
      if (before !== null) return { kind: "known", id: before, run };
      return { kind: "invalid", problems: [{ field: "target", message: closed }] };
    }
    const { id, created } = await options.store.create(run, wanted.by, wanted.idempotencyKey);
    if (created) {
      options.hint([id]);
      options.log.info(
        {
          who: wanted.by,
          what: "start a run",
          run: id,
          playbook: run.playbook,
          target: run.target,
          dryRun: run.dryRun,
        },
        "A run was requested",
      );
    }
    return { kind: created ? "created" : "known", id, run };
  };
}

/** Somebody who asks is told at once what the run would come to. */
function whyNotNow(playbook: Playbook, name: string | null, { targets, now }: RequestOptions): string | null {
  if (playbook.during !== "maintenance") return null;
  const target = targets.find((one) => one.name === name);
  const closed = whyClosed(target?.postgres?.maintenance ?? [], now());
  return closed === null
    ? null
    : `cannot be changed now: ${closed}; a dry run shows what this playbook would do, at any time`;
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
function chooseInputs(playbook: Playbook, given: JsonObject): Chosen<{ readonly inputs: JsonObject }> {
  if (playbook.on.request === null) {
    if (Object.keys(given).length === 0) return { ok: true, inputs: {} };
    return {
      ok: false,
      problems: [{ field: "inputs", message: "must be left out: this playbook declares no inputs" }],
    };
  }
  const checked = checkInputs(playbook, given);
  if (checked.ok) {
    const unwritable = Object.entries(checked.inputs).filter(
      ([, value]) => typeof value === "string" && !isWritable(value),
    );
    if (unwritable.length === 0) {
      const apart = whyNotTogether(playbook, checked.inputs);
      return apart === null ? checked : { ok: false, problems: [{ field: "inputs", message: apart }] };
    }
    return {
      ok: false,
      problems: unwritable.map(([input]) => ({
        field: `inputs.${input}`,
        message: "must not contain control characters",
      })),
    };
  }
  return { ok: false, problems: checked.problems.map((one) => ({ ...one, field: `inputs.${one.field}` })) };
}
