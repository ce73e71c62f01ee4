/** Paramedic's own store on a fresh database for each test file, with builders of what the doors bring in. */

import { v7 as newId } from "uuid";
import type { Alert } from "../../src/domain/alert.ts";
import type { DatedHappening, Happening } from "../../src/domain/event.ts";
import type { Standing } from "../../src/domain/run.ts";
import { type Append, type AppendEvents, type Appended, createAppend } from "../../src/store/append.ts";
import { type Approvals, createApprovals } from "../../src/store/approvals.ts";
import { type ClaimedRun, type Claims, createClaims } from "../../src/store/claim.ts";
import { connect, type Database } from "../../src/store/connect.ts";
import { createDue, type Due } from "../../src/store/due.ts";
import type { IncomingAlert } from "../../src/store/incoming.ts";
import { migrate } from "../../src/store/migrate.ts";
import type { NewRun } from "../../src/store/new-run.ts";
import { createReadRails, type ReadRails } from "../../src/store/rails.ts";
import { createReads, type Reads } from "../../src/store/reads.ts";
import { createReceive, type Receive } from "../../src/store/receive.ts";
import { createRequests, type Requests } from "../../src/store/requests.ts";
import { createSwitches, type Switches } from "../../src/store/switches.ts";
import { query, sharedPostgres } from "./postgres.ts";

/** One process's view of a store: its own pools and everything built on them. */
export interface TestStore {
  readonly url: string;
  readonly database: Database;
  readonly receive: Receive;
  readonly requests: Requests;
  readonly approvals: Approvals;
  readonly switches: Switches;
  readonly reads: Reads;
  readonly readRails: ReadRails;
  readonly due: Due;
  readonly append: AppendEvents;
  readonly claims: Claims;
  /** Sends one statement as the superuser, in a session of its own. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
}

const open: Database[] = [];

/** A migrated store in a database of its own. `closeStores` must be called when the test file ends. */
export async function newStore(): Promise<TestStore> {
  const url = await (await sharedPostgres()).newDatabase();
  await migrate(url);
  return sameStore(url);
}

/** Another process's view of the store at `url`. */
export function sameStore(url: string, { worker = "worker", leaseMs = 30_000 } = {}): TestStore {
  const database = connect(url);
  open.push(database);
  return {
    url,
    database,
    receive: createReceive(database, Date.now),
    requests: createRequests(database, Date.now),
    approvals: createApprovals(database),
    switches: createSwitches(database),
    reads: createReads(database),
    readRails: createReadRails(database),
    due: createDue(database),
    append: createAppend(database, { newId, asksInSlack: false, tellsChanges: false }),
    claims: createClaims(database, { worker, leaseMs }),
    sql: (text, values) => query(url, text, values),
  };
}

/** Closes the pools of all stores that were opened. */
export async function closeStores(): Promise<void> {
  await Promise.all(open.splice(0).map((database) => database.close()));
}

/** A run that somebody asks for. */
export function newRun(over: Partial<NewRun> = {}): NewRun {
  return {
    id: newId(),
    playbook: "test",
    playbookHash: "sha256:00",
    target: "db",
    trigger: { kind: "request", by: "api:tests", reason: "a test" },
    inputs: {},
    dryRun: false,
    ...over,
  };
}

/** A run that is stored and ready. */
export async function storedRun(
  store: TestStore,
  over: Partial<NewRun> = {},
  requester = "api:tests",
): Promise<string> {
  return (await store.requests.create(newRun(over), requester, null)).id;
}

/** A run that is stored and claimed by the store's worker. */
export async function claimedRun(
  store: TestStore,
  over: Partial<NewRun> = {},
  requester?: string,
): Promise<ClaimedRun> {
  return claimOf(store, await storedRun(store, over, requester));
}

/** Claims a run that must be free. */
export async function claimOf(store: TestStore, id: string): Promise<ClaimedRun> {
  const claimed = await store.claims.claim(id);
  if (!claimed) throw new Error(`the run ${id} could not be claimed`);
  return claimed;
}

/** What a worker writes after it claimed `run`. */
export function appendOf(
  run: Pick<ClaimedRun, "id" | "fence" | "lastSeq" | "lastHash">,
  happenings: readonly Happening[],
  standing: Standing = { state: "running" },
): Append {
  const { id: runId, fence, lastSeq, lastHash } = run;
  const at = new Date().toISOString();
  return {
    runId,
    fence,
    lastSeq,
    lastHash,
    happenings: happenings.map((one): DatedHappening => ({ at, ...one })),
    standing,
  };
}

/** Appends, must succeed, and returns the run as its worker then knows it. */
export async function write<R extends Pick<ClaimedRun, "id" | "fence" | "lastSeq" | "lastHash">>(
  store: TestStore,
  run: R,
  happenings: readonly Happening[],
  standing?: Standing,
): Promise<R & { readonly woken: readonly string[] }> {
  const answer: Appended = await store.append(appendOf(run, happenings, standing));
  if (answer.kind !== "written") throw new Error(`nothing was written: ${answer.kind}`);
  return { ...run, lastSeq: answer.lastSeq, lastHash: answer.lastHash, woken: answer.woken };
}

export function alert(over: Partial<Alert> = {}): Alert {
  return {
    status: "firing",
    labels: { alertname: "Test", service: "db" },
    annotations: {},
    startsAt: "2026-01-05T10:00:00.000000Z",
    endsAt: null,
    fingerprint: "00000000000000aa",
    generatorURL: "",
    ...over,
  };
}

/** An alert with one run of the playbook `test` on the target `db`, unless `runs` says otherwise. */
export function incoming(
  over: Partial<Alert> = {},
  { source = "am", runs }: { source?: string; runs?: readonly NewRun[] } = {},
): IncomingAlert {
  const of = alert(over);
  const { fingerprint, startsAt, labels, annotations } = of;
  const trigger = { kind: "alert", source, fingerprint, startsAt, labels, annotations, partial: false } as const;
  return {
    episodeId: newId(),
    source,
    alert: of,
    runs: of.status === "resolved" ? [] : (runs ?? [newRun({ trigger })]),
  };
}

export { newId };
