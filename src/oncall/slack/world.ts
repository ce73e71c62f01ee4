/** What Slack's doors need from outside: the store's functions behind which every door stands, and who somebody is. Supplied by `app.ts`. */

import type { Answer, Answered, Approval } from "../../domain/approval.ts";
import type { ApproverSet } from "../../domain/approver.ts";
import type { JsonObject } from "../../domain/json.ts";
import type { Playbook } from "../../domain/playbook.ts";
import type { Role } from "../../domain/role.ts";
import type { People } from "./people.ts";

/** A run, as lists show it. */
export interface ListedRun {
  readonly id: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly state: string;
  readonly waitingFor: string | null;
  readonly outcome: string | null;
  readonly createdAt: string;
}

/** Where the message of a run stands. */
export interface RecordPlace {
  readonly channel: string;
  readonly ts: string;
  /** The Slack app that posted it; null where Slack did not say so. */
  readonly appId: string | null;
}

/** A run that was made now, or before by the same key; or what is wrong with the request. */
export type RequestedRun =
  | { readonly kind: "created" | "known"; readonly id: string }
  | { readonly kind: "no-such-playbook" }
  | { readonly kind: "invalid"; readonly problems: readonly { readonly field: string; readonly message: string }[] };

/** The kill switch. */
export interface Switch {
  readonly paused: boolean;
  readonly reason: string | null;
  readonly by: string | null;
  readonly until: string | null;
}

export interface DoorLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Every function of the store rejects where the store cannot be used. */
export interface SlackWorld {
  /** Stores a click before anything is made of it. False: it was stored before, by whichever process. */
  keepClick(key: string, click: JsonObject): Promise<boolean>;
  /** Some of the clicks that nobody has handled for a while, each given to one caller for `leaseMs`. */
  takeClicks(leaseMs: number): Promise<readonly { readonly key: string; readonly click: JsonObject }[]>;
  clickHandled(key: string): Promise<void>;

  approval(id: string): Promise<Approval | null>;
  /** The pending approvals of the runs whose id begins with this, newest first. */
  pendingApprovalsOf(idOrPrefix: string): Promise<readonly Approval[]>;
  /** Where the message stands whose buttons decide this run's approvals; null: there is none. */
  recordPlace(runId: string): Promise<RecordPlace | null>;
  answer(answer: Answer): Promise<Answered>;
  /** Appends `answer-refused` to the history of the approval's run. */
  refuse(approval: string, by: string, reason: string): Promise<void>;
  /** Appends `acknowledge-refused` to the history of the run. */
  refuseAcknowledgement(runId: string, by: string, reason: string): Promise<void>;
  acknowledge(
    runId: string,
    by: string,
  ): Promise<
    | { readonly kind: "acknowledged" | "already-acknowledged"; readonly by: string }
    | { readonly kind: "not-escalated" | "not-found" }
  >;

  /** Newest first. */
  runs(filter: { readonly limit: number }): Promise<readonly ListedRun[]>;
  /** The gate that REST uses. The same key by the same person answers with the run it made before. */
  requestRun(request: {
    readonly playbook: string;
    readonly target: string | null;
    readonly inputs: JsonObject;
    readonly reason: string;
    readonly dryRun: boolean;
    readonly by: string;
    readonly idempotencyKey: string;
  }): Promise<RequestedRun>;
  readSwitch(): Promise<Switch>;
  setSwitch(change: {
    readonly paused: boolean;
    readonly reason: string;
    readonly by: string;
    readonly until: string | null;
  }): Promise<{ readonly switch: Switch; readonly woken: readonly string[] }>;
  /** Tells the queue that these runs are due. Returns at once and never throws. */
  hint(runIds: readonly string[]): void;
  /** Whether an error of these functions says that the store is away: then trying again helps. */
  isOutage(error: unknown): boolean;

  readonly people: People;
  readonly whoIsWho: WhoIsWho;
  readonly playbooks: readonly Pick<Playbook, "name" | "summary" | "target" | "on">[];
  readonly log: DoorLog;
}

/** What the configuration says about people. */
export interface WhoIsWho {
  /** Slack user id -> role. */
  readonly users: ReadonlyMap<string, Role>;
  /** Slack user group id -> role. */
  readonly groups: ReadonlyMap<string, Role>;
  /** The sets of `approvers`, by name. */
  readonly approvers: ReadonlyMap<string, ApproverSet>;
}
