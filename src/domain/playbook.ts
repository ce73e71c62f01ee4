/** A playbook, once it has been read and checked: matchers, rails, ordered steps, verification, escalation. */

import type { Repeat, Risk } from "./action.ts";
import type { ApprovalDemands } from "./approval-demands.ts";
import type { JsonObject } from "./json.ts";

export interface Playbook {
  readonly name: string;
  readonly summary: string;
  /** `sha256:` and the hexadecimal hash of `source`. */
  readonly hash: string;
  /** The YAML text this was read from. */
  readonly source: string;
  readonly on: Starts;
  readonly target: TargetChoice | null;
  /** No second change within this time after a run of this playbook on this target changed something; null: none. */
  readonly cooldownMs: number | null;
  /** How many runs that change something, in which windows, per target. Over it, the run asks. */
  readonly budget: readonly Budget[];
  readonly onResolved: "stop" | "finish";
  /** Whether it changes something only inside the target's maintenance windows; left out: at any time. */
  readonly during?: "maintenance";
  readonly steps: readonly Step[];
  readonly verify: readonly Check[];
  /** Who is told when the run cannot heal its target; null: nobody. */
  readonly escalate: Escalate | null;
  /** Whether changes are announced: not at all, at the same time, or the configured lead time before. */
  readonly announce: "never" | "now" | "before";
  /** Who else is told, in order, each as soon as its condition can be evaluated. */
  readonly notify: readonly Notify[];
  /** What this playbook asks of approvals beyond what the configuration does. */
  readonly approvals: ApprovalDemands;
}

export interface Escalate {
  /** The name of an escalation policy of the configuration. */
  readonly policy: string;
  /** People are also told when the run has not verifiably fixed its target in this time; null: only when it gives up. */
  readonly holdMs: number | null;
}

export interface Notify {
  /** The name of a contact of the configuration. */
  readonly contact: string;
  /** A CEL condition; null: always. */
  readonly if: string | null;
  /** The steps that the condition refers to: it is evaluated once all of them are over. */
  readonly needs: readonly string[];
}

/** What may start a playbook. */
export interface Starts {
  /** Matchers in Alertmanager's syntax, all of which must hold; null: alerts do not start it. */
  readonly alerts: readonly string[] | null;
  /** What an engineer may ask for over REST and which inputs that takes; null: requests do not start it. */
  readonly request: {
    readonly inputs: Readonly<Record<string, InputDeclaration>>;
    /** A CEL condition over `inputs`, which they must meet together; left out: none. */
    readonly requires?: string;
  } | null;
  /** When it starts by itself; left out: never. */
  readonly schedule?: Schedule | null;
}

export interface Schedule {
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  readonly cron: string;
  /** An IANA time zone. */
  readonly timezone: string;
  /** What becomes of an occurrence that nobody was there for: `run` once, late, or `skip`. */
  readonly missed: "run" | "skip";
}

export interface InputDeclaration {
  readonly type: "string" | "number" | "integer" | "boolean";
  readonly description: string | null;
  readonly default: string | number | boolean | null;
  readonly required: boolean;
}

/** By a label of the alert, looked up among the configured targets, or one fixed name. */
export type TargetChoice = { readonly label: string } | { readonly name: string };

export interface Budget {
  readonly limit: number;
  readonly windowMs: number;
}

/** One use of an action. What decides about it is copied here from the action when the playbook is loaded. */
export type Step = ObserveStep | ChangeStep;

interface StepBase {
  readonly id: string;
  /** The action's name. */
  readonly do: string;
  /** A CEL condition; null: always. */
  readonly if: string | null;
  /** The action's input; strings that are one whole `${{ … }}` are CEL expressions. */
  readonly with: JsonObject;
  readonly timeoutMs: number;
  /** Whether it must be done on the target's own host. */
  readonly onHost: boolean;
}

export interface ObserveStep extends StepBase {
  readonly kind: "observe";
  /** Where it cannot be made, the run goes on without it. Left out: the run ends. */
  readonly optional?: true;
}

export interface ChangeStep extends StepBase {
  readonly kind: "change";
  readonly risk: Risk;
  readonly repeat: Repeat;
  /** It only says something to people: nothing to announce, to limit or to measure. Left out: it changes something. */
  readonly tells?: true;
  readonly approval: "by-risk" | "always" | "never";
  /** When what it changed is put back; null: it stays. */
  readonly revert: Revert | null;
}

/** When a mitigation ends: after a time, when the alert resolves, when its own run ends so; whichever comes first. */
export interface Revert {
  readonly afterMs: number | null;
  readonly onResolved: boolean;
  /** Left out: however its run ends, it stays. */
  readonly onEnd?: readonly RevertOnEnd[];
}

/** `verified`: the run is fixed, or what was handed over has recovered. `declined`: by people, or nobody answered. */
export type RevertOnEnd = "verified" | "declined";

/** One measurement of success: an observation and what must hold of its output, within a time. */
export interface Check {
  readonly do: string;
  readonly with: JsonObject;
  /** A CEL condition over `output`. */
  readonly expect: string;
  readonly withinMs: number;
  /** How long to wait between two measurements. */
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** Whether it must be measured on the target's own host. */
  readonly onHost: boolean;
}
