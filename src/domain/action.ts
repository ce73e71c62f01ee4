/** An action: a thing Paramedic can do. It observes, or it changes by a plan that is made first and applied exactly. */

import type { Json, JsonObject } from "./json.ts";
import type { ReportTo } from "./report.ts";
import type { Target } from "./target.ts";

/** What the domain needs of a zod schema. Actions use zod itself; this keeps the domain free of packages. */
export interface Schema<T> {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly SchemaIssue[] } };
}

export interface SchemaIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

export interface ActionLogger {
  info(fields: JsonObject, message: string): void;
  warn(fields: JsonObject, message: string): void;
}

/** All that an action may know of the world. */
export interface ActionContext {
  /** The system to act upon; null for the few actions that need none. */
  readonly target: Target | null;
  /** Aborts when the step's time is up, the lease is lost or the process stops. Every call must honour it. */
  readonly signal: AbortSignal;
  readonly log: ActionLogger;
  /** The current time in milliseconds since 1970, by the database's clock. */
  readonly now: () => number;
  /**
   * The same for every call for one step of one run, and for no other: what tells a repetition from a second time. It is
   * no part of a plan, since plans of the same thing are equal. Left out where there is no such step.
   */
  readonly occasion?: string;
}

/** What can be expected to go wrong, as a value. `retryable`: nothing was changed, and trying again may help. */
export interface Failure {
  readonly status: "failed";
  /** What happened, to what, and what to do; shown to people. Contains no secret. */
  readonly reason: string;
  readonly retryable: boolean;
}

/** What an observation saw. */
export type Observed<Output> = { readonly status: "observed"; readonly output: Output } | Failure;

/** What a change would do. Two plans of the same thing have equal `plan` values; `effects` may word them freshly. */
export type Planned<Plan> =
  | {
      readonly status: "planned";
      readonly plan: Plan;
      /** One line for each thing that would change, for people. None: there is nothing to do. */
      readonly effects: readonly string[];
    }
  | Failure;

/**
 * How an apply went. `done`: all that the plan says is so, or was found gone; `result` tells which.
 * `unknown`: it cannot be told whether the effect happened.
 */
export type Outcome =
  | {
      readonly status: "done";
      readonly result: Json;
      /** The result is a `Report`, which these people are to be told. */
      readonly report?: ReportTo;
    }
  | Failure
  | { readonly status: "unknown"; readonly reason: string };

export type Risk = "low" | "high" | "irreversible";

/** `safe`: planning and applying again after a crash does no harm. `once`: it must be probed first. */
export type Repeat = "safe" | "once";

/** An action that changes something, in two halves: `plan` only reads, `apply` carries out that plan and nothing else. */
export interface ChangeAction<Input = unknown, Plan extends Json = Json> {
  readonly name: string;
  /** It works on the host of its target itself: its systemd, its files. Left out: it can be done from anywhere. */
  readonly onHost?: true;
  /** One sentence, shown to people. */
  readonly summary: string;
  readonly input: Schema<Input>;
  readonly kind: "change";
  readonly risk: Risk;
  readonly repeat: Repeat;
  /** It only says something to people, so that a run which did no more has changed nothing. Left out: it changes something. */
  readonly tells?: true;
  /**
   * The risk of one use, where it is less than `risk` for some input; `risk` is then the greatest. Asked when a playbook
   * is loaded, with the `with` as it stands there: what is still an expression could become anything.
   */
  riskOf?(given: JsonObject): Risk;
  plan(input: Input, context: ActionContext): Promise<Planned<Plan>>;
  apply(plan: Plan, context: ActionContext): Promise<Outcome>;
  /** After a crash: whether the plan was carried out. Required where `repeat` is `once`. */
  probe?(plan: Plan, context: ActionContext): Promise<"applied" | "not-applied" | "unknown">;
  /** Puts back what the plan changed; makes the action a mitigation. Doing it twice does no harm. */
  revert?(plan: Plan, context: ActionContext): Promise<Outcome>;
  /**
   * `lower` is to be reverted while `upper`, which was applied after it, stays. Returns what is left of `lower` to revert
   * (null: nothing), and `upper` as it must be so that its own revert puts back what was there before both.
   * `upperFirst` is what is left of `upper` to revert while `lower` stays (null: nothing); left out: all of it. Required
   * where `revert` is.
   */
  restack?(lower: Plan, upper: Plan): Restacked<Plan>;
}

/** How two changes of the same thing are put back one by one; see `ChangeAction.restack`. */
export interface Restacked<Plan extends Json = Json> {
  readonly lower: Plan | null;
  readonly upper: Plan;
  readonly upperFirst?: Plan | null;
}

/** An action that only looks. */
export interface ObserveAction<Input = unknown, Output = unknown> {
  readonly name: string;
  /** As of a change. */
  readonly onHost?: true;
  readonly summary: string;
  readonly input: Schema<Input>;
  readonly kind: "observe";
  /** What conditions are type-checked against: a zod object of plain JSON. */
  readonly output: Schema<Output>;
  observe(input: Input, context: ActionContext): Promise<Observed<Output>>;
}

// Methods of differing inputs are stored together; each is called only with what its own `input` schema accepted.
// biome-ignore lint/suspicious/noExplicitAny: the registry holds actions of every input type
export type Action = ChangeAction<any, any> | ObserveAction<any, any>;

/** All actions there are, by name. */
export type ActionRegistry = ReadonlyMap<string, Action>;
