/** The spine for tests: the real store, real playbooks compiled from YAML and the real loop, without the queue: tests say which run is driven when. */

import type { ActionRegistry } from "../../src/domain/action.ts";
import type { Alert } from "../../src/domain/alert.ts";
import type { RunEvent } from "../../src/domain/event.ts";
import type { Json } from "../../src/domain/json.ts";
import type { Target } from "../../src/domain/target.ts";
import { newId } from "../../src/ids.ts";
import { type Accepted, createAccept } from "../../src/playbooks/accept.ts";
import { drive } from "../../src/playbooks/drive.ts";
import { createLeases, type Leases } from "../../src/playbooks/leases.ts";
import { createLibrary } from "../../src/playbooks/library.ts";
import { compilePlaybook, type LoadedPlaybook, loadPlaybooks } from "../../src/playbooks/load.ts";
import { createMatchIndex } from "../../src/playbooks/match.ts";
import { createPolicyOf } from "../../src/playbooks/policy-of.ts";
import { restackBy } from "../../src/playbooks/revert.ts";
import type { World } from "../../src/playbooks/world.ts";
import { createAppend } from "../../src/store/append.ts";
import { type Approvals, createApprovals } from "../../src/store/approvals.ts";
import { createClaims } from "../../src/store/claim.ts";
import { connect, type Database } from "../../src/store/connect.ts";
import { createDue } from "../../src/store/due.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createMitigations, type Mitigations } from "../../src/store/mitigations.ts";
import { isOutage } from "../../src/store/outage.ts";
import { createPlaybookVersions } from "../../src/store/playbook-versions.ts";
import { createReadRails } from "../../src/store/rails.ts";
import { createReads, type Reads, type RunRow } from "../../src/store/reads.ts";
import { createReceive } from "../../src/store/receive.ts";
import { createRequests, type Requests } from "../../src/store/requests.ts";
import { createSwitches, type Switches } from "../../src/store/switches.ts";
import { rethrow } from "./builders.ts";
import { createPatient, type Patient, patientActions } from "./patient.ts";
import { sharedPostgres } from "./postgres.ts";
import { until } from "./until.ts";

/** One worker: its own world and leases over the shared store. */
export interface SpineWorker {
  readonly world: World;
  readonly leases: Leases;
  readonly soft: AbortController;
  readonly hard: AbortController;
  drive(runId: string): Promise<void>;
}

export interface Spine {
  readonly url: string;
  readonly database: Database;
  readonly patient: Patient;
  readonly reads: Reads;
  readonly approvals: Approvals;
  readonly requests: Requests;
  readonly switches: Switches;
  readonly mitigations: Mitigations;
  readonly worker: SpineWorker;
  /** Runs that were hinted at, in order. */
  readonly hinted: string[];
  /** Errors that were logged. */
  readonly errors: string[];
  newWorker(overrides?: Partial<World>, leaseMs?: number): SpineWorker;
  fire(alert?: Partial<Alert>, truncated?: number): Promise<Accepted>;
  resolve(alert?: Partial<Alert>): Promise<Accepted>;
  /** Fires one alert and returns the id of the run it started. */
  start(alert?: Partial<Alert>): Promise<string>;
  request(
    playbook: string,
    options?: { by?: string; dryRun?: boolean; target?: string | null; inputs?: Record<string, Json> },
  ): Promise<string>;
  /** Drives the run whenever it is due until it ends, or waits for what only others can give. */
  settle(runId: string): Promise<RunRow>;
  /** Starts the runs of the mitigations that are due, as every worker does; returns their ids. */
  revertDue(): Promise<readonly string[]>;
  row(runId: string): Promise<RunRow>;
  events(runId: string): Promise<readonly RunEvent[]>;
  close(): Promise<void>;
}

const wards: readonly Target[] = [
  { name: "ward", host: null, labels: { service: ["ward", "w"] } },
  { name: "clinic", host: null, labels: { service: ["clinic"] } },
];

/** The playbook of most tests: look, heal if sick, verify. */
export function playbookYaml(
  options: { name?: string; heal?: string; extra?: string; step?: string; verify?: string; alertname?: string } = {},
): string {
  return [
    `name: ${options.name ?? "heal-ward"}`,
    "summary: Heal the patient.",
    `on: { alerts: ['alertname="${options.alertname ?? "Sick"}"'] }`,
    "target: { label: service }",
    options.extra ?? "",
    "steps:",
    "  - { id: look, do: patient.look }",
    `  - { id: heal, if: steps.look.sick, do: ${options.heal ?? "patient.heal"} ${options.step ? `, ${options.step}` : ""} }`.replace(
      / , /,
      ", ",
    ),
    options.verify ?? "verify:\n  - { do: patient.look, expect: '!output.sick', within: 1s, every: 1s }",
  ].join("\n");
}

let fingerprints = 0;

/** An alert that fires, with a fingerprint of its own unless one is given. */
export function alertOf(overrides: Partial<Alert> = {}): Alert {
  fingerprints += 1;
  return {
    status: "firing",
    labels: { alertname: "Sick", service: "ward" },
    annotations: { summary: "The patient is sick" },
    startsAt: "2026-11-22T03:00:00.000000Z",
    endsAt: null,
    fingerprint: fingerprints.toString(16).padStart(16, "0"),
    generatorURL: "",
    ...overrides,
  };
}

export interface SpineOptions {
  readonly playbooks?: readonly string[];
  readonly patient?: Partial<Patient>;
  readonly url?: string;
  readonly leaseMs?: number;
  readonly approvals?: { readonly expireAfterMs: number; readonly atLeast: number };
  /** The patient's actions where left out. */
  readonly actions?: ActionRegistry;
  /** The ward and the clinic where left out. */
  readonly targets?: readonly Target[];
}

export async function createSpine(options: SpineOptions = {}): Promise<Spine> {
  const url = options.url ?? (await sharedPostgres()).url;
  await migrate(url);
  const database = connect(url);
  const patient = createPatient(options.patient);
  const actions = options.actions ?? patientActions(patient);
  const targets = options.targets ?? wards;
  const playbookWorld = {
    actions,
    targets,
    policies: ["ward", "database", "application"],
    contacts: ["ward", "paging", "monitoring", "dba", "infrastructure"],
    approvers: ["doctors"],
    announces: true,
  };
  const texts = options.playbooks ?? [playbookYaml()];
  const { playbooks, problems } = loadPlaybooks(
    texts.map((text, index) => ({ file: `${index}.yaml`, text })),
    playbookWorld,
  );
  const wrong = problems.filter((problem) => problem.severity === "error");
  if (wrong.length > 0) throw new Error(JSON.stringify(wrong, null, 1));
  const versions = createPlaybookVersions(database);
  await versions.keep(playbooks.map(({ playbook }) => playbook));
  const library = createLibrary({
    loaded: playbooks,
    source: versions.source,
    compile: (text) => {
      const compiled = compilePlaybook(text, playbookWorld);
      return compiled.ok ? compiled.loaded : null;
    },
  });
  const reads = createReads(database);
  const requests = createRequests(database, Date.now);
  const mitigations = createMitigations(database, newId, Date.now);
  const due = createDue(database);
  const hinted: string[] = [];
  const errors: string[] = [];
  const workers: SpineWorker[] = [];
  let names = 0;

  function newWorker(overrides: Partial<World> = {}, leaseMs = options.leaseMs ?? 30_000): SpineWorker {
    names += 1;
    const { host = null, hostWaitMs = 60_000 } = overrides;
    const claims = createClaims(database, { worker: `worker-${names}`, leaseMs, host, hostWaitMs });
    const leases = createLeases({ leaseMs, extend: claims.extend, onLost: () => {} });
    const soft = new AbortController();
    const hard = new AbortController();
    const world: World = {
      store: {
        ...claims,
        append: createAppend(database, { newId, asksInSlack: false, tellsChanges: false }),
        readRails: createReadRails(database),
        isOutage,
      },
      targets: new Map(targets.map((target) => [target.name, target])),
      playbook: library,
      policyOf: createPolicyOf({ source: versions.source, policies: playbookWorld.policies }),
      approvals: options.approvals ?? { expireAfterMs: 60_000, atLeast: 1 },
      mayStillApprove: async () => ({ allowed: true, reason: null }),
      host: null,
      hostWaitMs: 60_000,
      announcements: null,
      waysOf: () => [],
      tellPeople: () => {},
      pausedHere: () => false,
      hint: (ids) => void hinted.push(...ids),
      worker: `worker-${names}`,
      newId,
      log: { info: () => {}, warn: () => {}, error: (fields) => void errors.push(JSON.stringify(fields)) },
      metrics: { stepEnded: () => {}, runEnded: () => {}, railHit: () => {}, takenOver: () => {}, escalated: () => {} },
      reached: () => {},
      ...overrides,
    };
    const worker: SpineWorker = {
      world,
      leases,
      soft,
      hard,
      drive: (runId) => drive(world, leases, { soft: soft.signal, hard: hard.signal }, runId),
    };
    workers.push(worker);
    return worker;
  }

  const accept = createAccept({
    match: createMatchIndex<LoadedPlaybook>(playbooks),
    targets,
    store: createReceive(database, Date.now),
    hint: (ids) => void hinted.push(...ids),
    newId,
    log: { warn: () => {} },
  });
  const worker = newWorker();
  const row = async (runId: string) => {
    const found = await reads.run(runId);
    if (!found) throw new Error(`no run ${runId}`);
    return found;
  };

  return {
    url,
    database,
    patient,
    reads,
    approvals: createApprovals(database),
    requests,
    switches: createSwitches(database),
    mitigations,
    revertDue: () => mitigations.revertDue(restackBy(actions), rethrow),
    worker,
    hinted,
    errors,
    newWorker,
    row,
    fire: (alert, truncated = 0) => accept({ alerts: [alertOf(alert)], truncated }),
    resolve: (alert) =>
      accept({ alerts: [alertOf({ status: "resolved", endsAt: new Date().toISOString(), ...alert })], truncated: 0 }),
    start: async (alert) => {
      const accepted = await accept({ alerts: [alertOf(alert)], truncated: 0 });
      const run = accepted.runs[0];
      if (!run) throw new Error(`no run was started: ${JSON.stringify(accepted)}`);
      return run.id;
    },
    request: async (name, { by = "api:oncall", dryRun = false, target = "ward", inputs = {} } = {}) => {
      const loaded = playbooks.find(({ playbook }) => playbook.name === name);
      if (!loaded) throw new Error(`no playbook ${name}`);
      const { id } = await requests.create(
        {
          id: newId(),
          playbook: name,
          playbookHash: loaded.playbook.hash,
          target,
          trigger: { kind: "request", by, reason: "a test" },
          inputs,
          dryRun,
        },
        by,
        null,
      );
      return id;
    },
    settle: (runId) =>
      until(
        async () => {
          await due.take({ graceMs: 0, againMs: 0, most: 1000 });
          await worker.drive(runId);
          const now = await row(runId);
          const stuck =
            now.state === "waiting" &&
            (now.waitingFor === "approval" || now.waitingFor === "switch" || now.waitingFor === "target");
          return now.state === "ended" || stuck ? now : null;
        },
        { what: `run ${runId} settled`, timeoutMs: 20_000, everyMs: 20 },
      ) as Promise<RunRow>,
    events: (runId) => reads.events(runId, 0),
    close: async () => {
      for (const one of workers) one.leases.stop();
      await database.close();
    },
  };
}
