/** What the REST API needs from outside: a store, the playbooks, the targets, and somebody to tell. Supplied by `app.ts`. */

import type { Answer, Answered, Approval, ApprovalState } from "../domain/approval.ts";
import type { RunEvent, Trigger } from "../domain/event.ts";
import type { Json, JsonObject } from "../domain/json.ts";
import type { Mitigation, MitigationDecided } from "../domain/mitigation.ts";
import type { Playbook } from "../domain/playbook.ts";
import type { Role } from "../domain/role.ts";
import type { RunState, WaitingFor } from "../domain/run.ts";
import type { FieldProblem } from "../http/problem.ts";
import type { Caller } from "./route.ts";

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
  /** The position of the first event that does not fit the run's chain of hashes; null: the history is whole. */
  firstBrokenEvent(runId: string): Promise<number | null>;
  /** The same of many runs at once, each after its own position; runs of which there are none are left out. */
  news(since: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, readonly RunEvent[]>>;
  episodes(filter: {
    readonly status: "firing" | "resolved" | null;
    readonly limit: number;
    readonly before: string | null;
  }): Promise<readonly EpisodeRow[]>;
  readonly requests: {
    cancel(runId: string, by: string, reason: string): Promise<"cancelling" | "already-ended" | "not-found">;
  };
  readonly approvals: {
    answer(answer: Answer): Promise<Answered>;
    /** Records in the run's history that somebody who may not decide tried to. */
    refuse(approval: string, by: string, reason: string): Promise<void>;
    find(id: string): Promise<Approval | null>;
    list(filter: { readonly state: ApprovalState | null; readonly limit: number }): Promise<readonly Approval[]>;
    ofRun(runId: string): Promise<readonly Approval[]>;
  };
  readonly mitigations: {
    list(filter: { readonly state: string | null; readonly limit: number }): Promise<readonly Mitigation[]>;
    decide(id: string, decision: "revert" | "keep", by: string, reason: string): Promise<MitigationDecided>;
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

/** What somebody wants to be run, and what became of it. */
export type RequestRun = (wanted: {
  readonly playbook: string;
  readonly target: string | null;
  readonly inputs: JsonObject;
  readonly reason: string;
  readonly dryRun: boolean;
  readonly by: string;
  readonly idempotencyKey: string | null;
}) => Promise<
  | {
      /** `known`: the key stands for a run that was made before, for this or for another request. */
      readonly kind: "created" | "known";
      readonly id: string;
      readonly run: {
        readonly playbook: string;
        readonly target: string | null;
        readonly dryRun: boolean;
        readonly inputs: Readonly<Record<string, Json>>;
      };
    }
  | { readonly kind: "no-such-playbook" }
  | { readonly kind: "invalid"; readonly problems: readonly FieldProblem[] }
>;

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
  /** The gate for runs that people ask for. */
  readonly requestRun: RequestRun;
  /** Why this caller may not approve what asks for all of these sets of approvers; null: they may. */
  readonly whyNotApprover: (caller: Caller, approvers: readonly string[]) => Promise<string | null>;
  readonly store: ApiStore;
  /** Tells the queue that these runs are due. Returns at once and never throws. */
  readonly hint: (runIds: readonly string[]) => void;
  /** A new UUIDv7. */
  readonly newId: () => string;
  readonly readiness: () => Promise<{ readonly ready: boolean; readonly body: object }>;
  readonly metrics: { render(): Promise<string>; readonly contentType: string };
  readonly log: ApiLog;
}
