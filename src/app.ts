/** The one place where the parts meet: builds them from the configuration, starts them in order and stops them in order. */

import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createActions } from "./actions/registry.ts";
import { createApi } from "./api/router.ts";
import { startDriving } from "./app-driving.ts";
import {
  channelsOf,
  contactWaysOf,
  openDoors,
  openSlack,
  type SlackParts,
  startTelling,
  whyNotByToken,
} from "./app-people.ts";
import { createClosing } from "./closing.ts";
import type { Config } from "./config/config.ts";
import { type Outline, outlineOf } from "./config/outline.ts";
import { isPausedByFile } from "./config/pause-file.ts";
import { formatProblem } from "./config/problems.ts";
import type { ActionRegistry } from "./domain/action.ts";
import { namesOfPeople } from "./domain/approver.ts";
import { startHttpServer } from "./http/server.ts";
import { newId } from "./ids.ts";
import type { Logger } from "./log.ts";
import { createSender } from "./oncall/slack/send.ts";
import { createAccept } from "./playbooks/accept.ts";
import { createLibrary } from "./playbooks/library.ts";
import { compilePlaybook, type LoadedPlaybook, loadPlaybooks, readPlaybookFolder } from "./playbooks/load.ts";
import { createMatchIndex } from "./playbooks/match.ts";
import type { PlaybookWorld } from "./playbooks/read-playbook.ts";
import { createRequestRun } from "./playbooks/request.ts";
import type { Checkpoint } from "./playbooks/world.ts";
import { openBackend } from "./queue/backend.ts";
import { createDispatch } from "./queue/dispatch.ts";
import { createApprovals } from "./store/approvals.ts";
import { connect } from "./store/connect.ts";
import { createDue } from "./store/due.ts";
import { createEscalations } from "./store/escalations.ts";
import { createHeartbeatTurns } from "./store/heartbeat.ts";
import { migrate, migrateWhenReachable } from "./store/migrate.ts";
import { createMitigations } from "./store/mitigations.ts";
import { createOutbox } from "./store/outbox.ts";
import { openOwnDatabase } from "./store/own-database.ts";
import { createPlaybookVersions } from "./store/playbook-versions.ts";
import { createReads } from "./store/reads.ts";
import { createReceive } from "./store/receive.ts";
import { createRequests } from "./store/requests.ts";
import { createSwitches } from "./store/switches.ts";
import { createReadiness } from "./telemetry/health.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { alertmanagerWebhook } from "./webhook/routes.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export type Role = "all" | "receiver" | "worker";

export interface App {
  /** Where HTTP is served. */
  readonly url: string;
  /** Takes nothing new, lets steps under way finish within the drain, then lets go of everything. */
  stop(): Promise<void>;
}

export interface AppOptions {
  readonly role: Role;
  /** The host whose steps this worker serves too. */
  readonly host: string | null;
  readonly log: Logger;
  /** What this process can do; all that Paramedic ships where left out. */
  readonly actions?: ActionRegistry;
  /** Called at the named points of each run; for tests that stop the process there. */
  readonly reached?: (point: Checkpoint, runId: string) => void;
}

/** What is wrong with the playbooks; nothing was started. */
export class StartRefused extends Error {
  override readonly name = "StartRefused";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`${problems.length} problems in the playbooks`);
    this.problems = problems;
  }
}

/** Starts everything that the role asks for. Rejects with `StartRefused` when a playbook has a problem. */
export async function startApp(config: Config, options: AppOptions): Promise<App> {
  const { log } = options;
  const slack = openSlack(config);
  const playbookWorld = playbookWorldOf(config, slack, options.actions);
  const loaded = await loadAll(config, playbookWorld);
  for (const line of loaded.warnings)
    log.warn({ problem: line }, "a playbook has something that its author should know");
  if (loaded.problems.length > 0) throw new StartRefused(loaded.problems);

  const closing = createClosing(log);
  const stopSignals = { soft: new AbortController(), hard: new AbortController() };
  // Each step under way listens to them.
  setMaxListeners(0, stopSignals.soft.signal, stopSignals.hard.signal);
  try {
    const own = await openOwnDatabase(ownDatabaseOf(config), log);
    closing.afterDoors(own.stop);
    await migrateWhenReachable(own.url, log);
    const database = connect(own.url, {
      onIdleError: (error) => {
        if (stopSignals.soft.signal.aborted) return;
        log.warn({ err: error }, "an idle connection to the store broke and will be replaced");
      },
    });
    closing.afterDoors(database.close);
    const versions = createPlaybookVersions(database);
    await versions.keep(loaded.playbooks.map(({ playbook }) => playbook));

    const metrics = createMetrics({ version });
    const due = createDue(database);
    const approvals = createApprovals(database, namesOfPeople(config.api.tokens));
    const reads = createReads(database);
    const escalations = createEscalations(database, newId);
    const outbox = createOutbox(database);
    const mitigations = createMitigations(database, newId, Date.now);
    metrics.observe({
      oldestDueSeconds: due.oldestSeconds,
      approvalsPending: approvals.pending,
      deadNotices: async () => (await outbox.troubles()).dead,
      heartbeatSeconds: config.heartbeat ? createHeartbeatTurns(database).lastSeconds : null,
    });

    const backend = openBackend({
      redisUrl: config.redis?.url.reveal() ?? null,
      databaseUrl: own.url,
      onError: (error) => log.debug({ err: error }, "the queue has a connection error and reconnects by itself"),
    });
    const dispatch = createDispatch(backend, {
      onDropped: (count, reason) => {
        metrics.hintsFailed(count);
        log.warn({ count, reason }, "the queue did not take hints; the runs are stored and will be picked up");
      },
    });
    closing.afterDoors(dispatch.close);

    const library = createLibrary({
      loaded: loaded.playbooks,
      source: versions.source,
      compile: (text) => {
        const compiled = compilePlaybook(text, playbookWorld);
        return compiled.ok ? compiled.loaded : null;
      },
    });

    if (options.role !== "receiver") {
      const telling = startTelling({
        config,
        log,
        database,
        escalations,
        outbox,
        reads,
        due,
        metrics,
        library,
        slack,
        pausedHere: () => isPausedByFile(config.pauseFile),
        hint: dispatch.hint,
        host: options.host,
      });
      const { nudge } = telling;
      const worker = startDriving({
        config,
        options,
        database,
        backend,
        dispatch,
        library,
        due,
        metrics,
        stopSignals,
        mitigations,
        playbooks: loaded.playbooks,
        actions: playbookWorld.actions,
        slack,
        nudge,
      });
      closing.door(worker.stop);
      closing.door(telling.stop);
    }

    const accept = createAccept({
      match: createMatchIndex(loaded.playbooks),
      targets: config.targets,
      store: createReceive(database, Date.now),
      hint: dispatch.hint,
      newId,
      log,
    });
    const readiness = createReadiness({
      store: reads.ping,
      queue: async () => {
        if ((await dispatch.check()) === "degraded") throw new Error("the queue does not answer");
      },
      outbox: outbox.troubles,
    });
    const requests = createRequests(database, Date.now);
    const requestRun = createRequestRun({
      playbooks: loaded.playbooks.map(({ playbook }) => playbook),
      targets: config.targets,
      store: requests,
      hint: dispatch.hint,
      newId,
      now: Date.now,
      log,
    });
    const switches = createSwitches(database);
    const door = slack
      ? openDoors({
          config,
          log,
          slack,
          database,
          approvals,
          escalations,
          outbox,
          reads,
          switches,
          requestRun,
          playbooks: loaded.playbooks.map(({ playbook }) => playbook),
          hint: dispatch.hint,
          metrics,
        })
      : null;
    if (door) closing.door(door.stop);
    const api = createApi({
      tokens: config.api.tokens.map(({ name, role, secret }) => ({ name, role, secret: secret.reveal() })),
      limitBytes: config.limits.apiBodyBytes,
      playbooks: loaded.playbooks.map(({ playbook }) => playbook),
      playbookOf: async (hash) => (await library(hash))?.playbook ?? null,
      requestRun,
      whyNotApprover: whyNotByToken(config, slack),
      store: { ...reads, requests, approvals, escalations, switches, mitigations },
      hint: dispatch.hint,
      newId,
      readiness,
      metrics,
      log,
    });
    const webhook = alertmanagerWebhook({
      tokens: config.alertmanager.tokens.map((token) => token.reveal()),
      receive: accept,
      log,
      metrics,
      limitBytes: config.limits.webhookBodyBytes,
    });
    const server = await startHttpServer({
      ...config.listen,
      routers: [...(door?.router ? [door.router] : []), webhook, api.router],
      log,
    });
    closing.door(async () => {
      api.close();
      await server.close();
    });
    return {
      url: server.url,
      stop: async () => {
        stopSignals.soft.abort();
        await closing.all();
      },
    };
  } catch (error) {
    stopSignals.soft.abort();
    await closing.all();
    throw error;
  }
}

/** Loads the playbooks and says everything that is wrong with them; touches nothing else. */
export async function checkPlaybooks(
  outline: Outline,
): Promise<{ readonly problems: readonly string[]; readonly warnings: readonly string[]; readonly playbooks: number }> {
  const { problems, warnings, playbooks } = await loadAll(outline, {
    actions: createActions({ prometheusUrl: null, contacts: new Map(outline.contacts.map((name) => [name, []])) }),
    ...outline,
  });
  return { problems, warnings, playbooks: playbooks.length };
}

/** Applies the migrations to the configured or the embedded Postgres and returns the names of the new ones. */
export async function migrateDatabase(config: Config, log: Logger): Promise<readonly string[]> {
  const own = await openOwnDatabase(ownDatabaseOf(config), log);
  try {
    return await migrate(own.url);
  } finally {
    await own.stop();
  }
}

function ownDatabaseOf(config: Config): { readonly url: string | null; readonly embeddedFolder: string } {
  return { url: config.database?.url.reveal() ?? null, embeddedFolder: join(config.stateDir, "postgres") };
}

function playbookWorldOf(config: Config, slack: SlackParts | null, actions?: ActionRegistry): PlaybookWorld {
  return {
    actions:
      actions ??
      createActions({
        prometheusUrl: config.prometheus?.url ?? null,
        systemBusAddress: config.systemBusAddress,
        slack: slack && { channels: channelsOf(config), ...createSender(slack.call) },
        contacts: contactWaysOf(config),
      }),
    ...outlineOf(config),
  };
}

async function loadAll(
  from: Pick<Outline, "playbooks" | "warningsForTwo">,
  world: PlaybookWorld,
): Promise<{
  readonly playbooks: readonly LoadedPlaybook[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}> {
  const folder = await readPlaybookFolder(from.playbooks);
  const loaded = loadPlaybooks(folder.files, world);
  const all = [...folder.problems, ...loaded.problems];
  const lines = (severity: "error" | "warning") =>
    all
      .filter((problem) => problem.severity === severity)
      .map(({ file, line, message }) => `${file}:${line}: ${message}`);
  const twoAsked = loaded.playbooks.some(({ playbook }) => (playbook.approvals.atLeast ?? 1) >= 2);
  const warnings = [...(twoAsked ? from.warningsForTwo.map(formatProblem) : []), ...lines("warning")];
  return { playbooks: loaded.playbooks, problems: lines("error"), warnings };
}
