/** Puts together what drives runs in this process: the worker with its leases and reconciler, mitigations, schedules. */

import { hostname } from "node:os";
import { peopleOf, type SlackParts } from "./app-people.ts";
import type { Config } from "./config/config.ts";
import { isPausedByFile } from "./config/pause-file.ts";
import type { ActionRegistry } from "./domain/action.ts";
import { startRounds } from "./domain/rounds.ts";
import { newId } from "./ids.ts";
import type { Logger } from "./log.ts";
import { drive } from "./playbooks/drive.ts";
import { createLeases } from "./playbooks/leases.ts";
import type { LoadedPlaybook } from "./playbooks/load.ts";
import { createPolicyOf } from "./playbooks/policy-of.ts";
import { restackBy } from "./playbooks/revert.ts";
import { startScheduling } from "./playbooks/scheduling.ts";
import type { Checkpoint, World } from "./playbooks/world.ts";
import type { Backend } from "./queue/backend.ts";
import type { Dispatch } from "./queue/dispatch.ts";
import { drainWithin, startWorker } from "./queue/worker.ts";
import { createAppend } from "./store/append.ts";
import { createClaims } from "./store/claim.ts";
import type { Database } from "./store/connect.ts";
import type { Due } from "./store/due.ts";
import type { Mitigations } from "./store/mitigations.ts";
import { isOutage } from "./store/outage.ts";
import { createPlaybookVersions } from "./store/playbook-versions.ts";
import { createReadRails } from "./store/rails.ts";
import { createSchedules } from "./store/schedules.ts";
import type { Metrics } from "./telemetry/metrics.ts";

interface DrivingOptions {
  readonly host: string | null;
  readonly log: Logger;
  readonly reached?: (point: Checkpoint, runId: string) => void;
}

/** How often mitigations are looked for whose time is over. */
const revertEveryMs = 1_000;

/** What drives runs in this process. */
export function startDriving(parts: {
  readonly config: Config;
  readonly options: DrivingOptions;
  readonly database: Database;
  readonly backend: Backend;
  readonly dispatch: Dispatch;
  readonly library: World["playbook"];
  readonly due: Due;
  readonly metrics: Metrics;
  readonly stopSignals: { readonly soft: AbortController; readonly hard: AbortController };
  readonly mitigations: Mitigations;
  readonly playbooks: readonly LoadedPlaybook[];
  readonly actions: ActionRegistry;
  readonly slack: SlackParts | null;
  readonly nudge: () => void;
}): { stop(): Promise<void> } {
  const { config, options, database, backend, dispatch, library, due, metrics, stopSignals, slack, nudge } = parts;
  const { mitigations, actions } = parts;
  const { log } = options;
  const workerName = `${options.host ?? hostname()}/${process.pid}`;
  const { leaseMs, hostWaitMs } = config.worker;
  const { host } = options;
  const claims = createClaims(database, { worker: workerName, leaseMs, host, hostWaitMs });
  const leases = createLeases({
    leaseMs: config.worker.leaseMs,
    extend: claims.extend,
    onLost: (run, reason) => {
      metrics.leaseLost();
      log.warn({ run, reason }, "gave up a run whose lease cannot be counted on");
    },
  });
  const telling = { newId, asksInSlack: slack !== null, tellsChanges: config.pagerduty !== null };
  const world: World = {
    ...peopleOf(config, slack),
    tellPeople: nudge,
    store: { ...claims, append: createAppend(database, telling), readRails: createReadRails(database), isOutage },
    targets: new Map(config.targets.map((target) => [target.name, target])),
    playbook: library,
    policyOf: createPolicyOf({
      source: createPlaybookVersions(database).source,
      policies: [...config.escalation.keys()],
    }),
    approvals: config.approvals,
    pausedHere: () => isPausedByFile(config.pauseFile),
    hint: dispatch.hint,
    worker: workerName,
    host,
    hostWaitMs,
    newId,
    log,
    metrics,
    reached: options.reached ?? (() => {}),
  };
  const stop = { soft: stopSignals.soft.signal, hard: stopSignals.hard.signal };
  const worker = startWorker(backend, dispatch, {
    concurrency: config.worker.concurrency,
    host,
    drive: (run) => drive(world, leases, stop, run),
    onError: (run, error) => log.error({ run, err: error }, "driving a run broke off; its lease will pass on"),
    reconciler: {
      everyMs: config.worker.reconcileEveryMs,
      takeDue: (which) => due.take({ ...which, hostWaitMs }),
      takeDueOfHost: host === null ? null : (which) => due.take({ ...which, host }),
      onReadded: metrics.hintsReadded,
      onError: (error) => log.warn({ err: error }, "the reconciler could not look for due runs"),
    },
  });
  const reverting = startRounds(
    revertEveryMs,
    async () => {
      const runs = await mitigations.revertDue(restackBy(actions), (mitigation, error) =>
        log.error({ mitigation, err: error }, "a mitigation that is due cannot be put back; trying again in a minute"),
      );
      if (runs.length > 0) dispatch.hint(runs);
    },
    (error) => log.warn({ err: error }, "could not look which mitigations are due; looking again"),
  );
  const scheduling = startScheduling({
    ...createSchedules(database),
    playbooks: parts.playbooks,
    newId,
    hint: dispatch.hint,
    log,
  });
  return {
    stop: async () => {
      await Promise.all([reverting.stop(), scheduling.stop()]);
      await drainWithin(worker, config.worker.drainMs, stopSignals.hard, log);
      leases.stop();
    },
  };
}
