/** What the REST API needs from outside: a store, the playbooks, the targets, and somebody to tell. Supplied by `app.ts`. */

import type { AskReason, RunEvent, Trigger } from "../domain/event.ts";
import type { Json, JsonObject } from "../domain/json.ts";
import type { Playbook } from "../domain/playbook.ts";
import type { RunState, WaitingFor } from "../domain/run.ts";
import type { FieldProblem } from "../http/problem.ts";
import type { Role } from "../domain/role.ts";

/** A bearer token of the configuration. The name is what the history says about who did something. */
export interface ApiToken {
  readonly name: string;
  readonly role: Role;
  readonly secret: string;
}

/** A run as its row has it. */
export interface RunRow {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly trigger: Trigger["kind"];
  readonly requestedBy: string | null;
  readonly episodeId: string | null;
  readonly dryRun: boolean;
  readonly state: RunState;
  readonly waitingFor: WaitingFor | null;
  readonly outcome: string | null;
  /** When it is looked at next, while it waits. */
  readonly dueAt: string | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

/** A run that somebody asks for. */
export interface RequestedRun {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly trigger: Extract<Trigger, { readonly kind: "request" }>;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly dryRun: boolean;
}

export type ApprovalState = "pending" | "approved" | "declined" | "expired" | "voided";

/** A change that waits for people, or waited. */
export interface Approval {
  readonly id: string;
  readonly runId: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly step: string;
  readonly digest: string;
  readonly effects: readonly string[];
  readonly reasons: readonly AskReason[];
  readonly state: ApprovalState;
  readonly atLeast: number;
  readonly requestedBy: string | null;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly decidedAt: string | null;
  readonly decisions: readonly {
    readonly decision: "approve" | "decline";
    readonly by: string;
    readonly reason: string | null;
    readonly at: string;
  }[];
}

/** What became of an answer; the approval is as it stands after it. */
export type Answered =
  | { readonly kind: "answered"; readonly approval: Approval }
  | {
      readonly kind: "already-decided" | "expired" | "digest-changed" | "own-request" | "answered-before";
      readonly approval: Approval;
    }
  | { readonly kind: "not-found" };

export interface EpisodeRow {
  readonly id: string;
  readonly source: string;
  readonly fingerprint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: "firing" | "resolved";
  readonly startsAt: string;
  readonly endsAt: string | null;
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly notifications: number;
}

/** The kill switch. */
export interface Switch {
  readonly paused: boolean;
  readonly reason: string | null;
  readonly by: string | null;
  readonly since: string;
  readonly until: string | null;
}

/** What is stored. Every function rejects where the store cannot be used. Ids must be UUIDs. */
export interface ApiStore {
  /** Newest first; `before` is the id after which the page begins. */
  runs(filter: {
    readonly state: string | null;
    readonly outcome: string | null;
    readonly playbook: string | null;
    readonly target: string | null;
    readonly limit: number;
    readonly before: string | null;
  }): Promise<readonly RunRow[]>;
  run(id: string): Promise<RunRow | null>;
  /** The events after `afterSeq`, in order. */
  events(runId: string, afterSeq: number): Promise<readonly RunEvent[]>;
  episodes(filter: {
    readonly status: "firing" | "resolved" | null;
    readonly limit: number;
    readonly before: string | null;
  }): Promise<readonly EpisodeRow[]>;
  readonly requests: {
    create(
      run: RequestedRun,
      requester: string,
      idempotencyKey: string | null,
    ): Promise<{ readonly id: string; readonly created: boolean }>;
    cancel(runId: string, by: string, reason: string): Promise<"cancelling" | "already-ended" | "not-found">;
  };
  readonly approvals: {
    answer(answer: {
      readonly approval: string;
      readonly decision: "approve" | "decline";
      readonly digest: string;
      readonly by: string;
      readonly reason: string | null;
    }): Promise<Answered>;
    list(filter: { readonly state: ApprovalState | null; readonly limit: number }): Promise<readonly Approval[]>;
    ofRun(runId: string): Promise<readonly Approval[]>;
  };
  readonly escalations: {
    acknowledge(
      runId: string,
      by: string,
    ): Promise<
      | { readonly kind: "acknowledged" | "already-acknowledged"; readonly by: string }
      | { readonly kind: "not-escalated" | "not-found" }
    >;
  };
  readonly switches: {
    read(): Promise<Switch>;
    set(change: {
      readonly paused: boolean;
      readonly reason: string;
      readonly by: string;
      readonly until: string | null;
    }): Promise<{ readonly switch: Switch; readonly woken: readonly string[] }>;
  };
}

/** Checks the inputs of a request against what the playbook declares. */
export type CheckInputs = (
  playbook: Playbook,
  given: unknown,
) =>
  | { readonly ok: true; readonly inputs: JsonObject }
  | { readonly ok: false; readonly problems: readonly FieldProblem[] };

export interface ApiLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ApiWorld {
  /** With none, nobody gets in. */
  readonly tokens: readonly ApiToken[];
  /** The largest body, in bytes; 1 MiB where left out. */
  readonly limitBytes?: number;
  /** Those that are loaded, with distinct names. */
  readonly playbooks: readonly Playbook[];
  /** The playbook with this hash, also one that is not loaded any more; null where it cannot be read. */
  readonly playbookOf: (hash: string) => Promise<Pick<Playbook, "steps"> | null>;
  readonly targets: readonly { readonly name: string }[];
  readonly checkInputs: CheckInputs;
  readonly store: ApiStore;
  /** Tells the queue that these runs are due. Returns at once and never throws. */
  readonly hint: (runIds: readonly string[]) => void;
  /** A new UUIDv7. */
  readonly newId: () => string;
  readonly readiness: () => Promise<{ readonly ready: boolean; readonly body: object }>;
  readonly metrics: { render(): Promise<string>; readonly contentType: string };
  readonly log: ApiLog;
}
