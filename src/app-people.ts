/** The part of `app.ts` in which those parts meet that ask and tell people: Slack, e-mail, PagerDuty, the status page. No logic. */

import type { ApiWorld } from "./api/world.ts";
import type { Config } from "./config/config.ts";
import { whyNotApprover } from "./domain/approver.ts";
import { deadlineOf } from "./domain/deadline.ts";
import type { Playbook } from "./domain/playbook.ts";
import { startRounds } from "./domain/rounds.ts";
import type { Announcements } from "./domain/run.ts";
import type { Logger } from "./log.ts";
import { followChanges } from "./oncall/changes.ts";
import { openDesk } from "./oncall/desk.ts";
import { createEmail, mailTells } from "./oncall/email.ts";
import { followNotice } from "./oncall/follow-notice.ts";
import { startHeartbeat } from "./oncall/heartbeat.ts";
import { subjectOf } from "./oncall/notice.ts";
import { createPagerDuty, pagerDutyTells } from "./oncall/pagerduty.ts";
import { createReach, levelsOf, type Voices, waysOf } from "./oncall/reach.ts";
import { mailReport } from "./oncall/report-mail.ts";
import { createSharedPages } from "./oncall/shared-pages.ts";
import { followAnnouncement } from "./oncall/slack/announcement.ts";
import { createSlackDoors, type SlackDoors } from "./oncall/slack/doors.ts";
import { followLevel } from "./oncall/slack/level.ts";
import { paced } from "./oncall/slack/paced.ts";
import { createPeople, type People } from "./oncall/slack/people.ts";
import { followRecord, recordPlaceOf } from "./oncall/slack/record.ts";
import { followReport } from "./oncall/slack/report.ts";
import { createSlackWeb } from "./oncall/slack/web.ts";
import type { WebCall } from "./oncall/slack/web-call.ts";
import type { SlackWorld } from "./oncall/slack/world.ts";
import { createStatusPage } from "./oncall/status-page.ts";
import { mayStillApprove, type StillApprove, whyMayNot } from "./oncall/still-approve.ts";
import { escalateUnasked } from "./oncall/unasked.ts";
import type { Message } from "./oncall/way.ts";
import { lookForRecoveries } from "./playbooks/recover.ts";
import type { World } from "./playbooks/world.ts";
import type { Approvals } from "./store/approvals.ts";
import { createClicks } from "./store/clicks.ts";
import type { Database } from "./store/connect.ts";
import type { Due } from "./store/due.ts";
import type { Escalations } from "./store/escalations.ts";
import { createHeartbeatTurns } from "./store/heartbeat.ts";
import { isOutage } from "./store/outage.ts";
import type { Outbox } from "./store/outbox.ts";
import type { Reads } from "./store/reads.ts";
import { createRecoveries } from "./store/recoveries.ts";
import { createRefusals } from "./store/refusals.ts";
import type { Switches } from "./store/switches.ts";
import { createUnasked } from "./store/unasked.ts";
import { createUntold } from "./store/untold.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** How long what Slack said about somebody's groups is used where it decides nothing for good. */
const peopleCacheMs = 60_000;

/** Slack, where it is configured: how its Web API is called, and who is who there. */
export interface SlackParts {
  readonly call: WebCall;
  readonly people: People;
}

export function openSlack(config: Config): SlackParts | null {
  const { slack } = config;
  if (!slack) return null;
  const call = paced(createSlackWeb({ token: slack.botToken.reveal(), apiUrl: slack.apiUrl }));
  const approverGroups = [...config.approvers.values()].flatMap(({ groups }) => groups);
  const people = createPeople({
    web: call,
    users: slack.users,
    groups: slack.groups,
    approverGroups,
    cacheMs: peopleCacheMs,
  });
  return { call, people };
}

/** The Slack channels that the configuration names; its own comes first. */
export function channelsOf(config: Config): readonly string[] {
  const levels = [...config.escalation.values()].flat();
  const named = [
    config.slack?.channel,
    config.announcements.slack,
    ...[...config.contacts.values(), ...levels].map(({ slack }) => slack),
  ];
  return [...new Set(named.filter((channel) => channel !== null && channel !== undefined))];
}

/** The contacts of the configuration, each with the ways by which it is reached. */
export function contactWaysOf(config: Config): ReadonlyMap<string, readonly string[]> {
  return new Map([...config.contacts].map(([name, configured]) => [name, waysOf(configured)]));
}

/** Where changes are announced; null: nowhere. */
export function announcementsOf(config: Config): Announcements | null {
  const places = [
    ...(config.slack && config.announcements.slack !== null ? ["slack"] : []),
    ...(config.statusPage ? ["status-page"] : []),
  ];
  return places.length === 0 ? null : { places, leadMs: config.announcements.leadMs };
}

/** How long Slack is asked for the groups of somebody who approves with a token. */
const lookUpWithinMs = 5_000;

/** What the API asks about those who approve with a token. */
export function whyNotByToken(config: Config, slack: SlackParts | null): ApiWorld["whyNotApprover"] {
  const people = approversOf(config, slack);
  return async ({ who }, sets) => {
    const deadline = deadlineOf([], lookUpWithinMs);
    return whyMayNot(people, who, sets, deadline.signal).finally(deadline.release);
  };
}

function approversOf(config: Config, slack: SlackParts | null): StillApprove {
  return {
    tokens: new Map(config.api.tokens.map((token) => [token.name, token])),
    find: slack ? (user, signal) => slack.people.find(user, { fresh: true }, signal) : null,
    whyNot: (person, sets) => whyNotApprover(person, sets, config.approvers),
  };
}

/** What driving a run asks about people. */
export function peopleOf(
  config: Config,
  slack: SlackParts | null,
): Pick<World, "mayStillApprove" | "waysOf" | "announcements"> {
  return {
    mayStillApprove: mayStillApprove(approversOf(config, slack)),
    waysOf: (contact) => {
      const configured = config.contacts.get(contact);
      return configured ? waysOf(configured) : [];
    },
    announcements: announcementsOf(config),
  };
}

export interface DoorParts {
  readonly config: Config;
  readonly log: Logger;
  readonly slack: SlackParts;
  readonly database: Database;
  readonly approvals: Approvals;
  readonly escalations: Escalations;
  readonly outbox: Outbox;
  readonly reads: Reads;
  readonly switches: Switches;
  readonly requestRun: SlackWorld["requestRun"];
  readonly playbooks: readonly Playbook[];
  readonly hint: (runIds: readonly string[]) => void;
  readonly metrics: Metrics;
}

/** How often clicks are looked for whose process stopped before it had handled them. */
const sweepEveryMs = 5_000;

/** The doors in Slack. They open in every role: a click works on any process that Slack reaches. */
export function openDoors(parts: DoorParts): { readonly router: SlackDoors["router"]; stop(): Promise<void> } {
  const { config, log, slack, metrics } = parts;
  const { apiUrl, signingSecret, appToken } = config.slack as NonNullable<Config["slack"]>;
  const doors = createSlackDoors({
    world: slackWorldOf(parts),
    call: slack.call,
    apiUrl,
    signingSecret: signingSecret?.reveal() ?? null,
    appToken: appToken?.reveal() ?? null,
    onSkew: metrics.slackClockSkew,
  });
  doors.start();
  const sweeping = startRounds(sweepEveryMs, doors.sweep, (error) =>
    log.warn({ err: error }, "could not look for clicks that were left behind; looking again"),
  );
  return {
    router: doors.router,
    stop: async () => {
      await Promise.all([sweeping.stop(), doors.stop()]);
    },
  };
}

function slackWorldOf(parts: DoorParts): SlackWorld {
  const { config, log, slack, approvals, escalations, outbox, reads, switches } = parts;
  const { users, groups } = config.slack as NonNullable<Config["slack"]>;
  const clicks = createClicks(parts.database);
  return {
    keepClick: clicks.keep,
    takeClicks: clicks.takeLeft,
    clickHandled: clicks.handled,
    approval: approvals.find,
    pendingApprovalsOf: approvals.pendingOf,
    recordPlace: async (runId) => recordPlaceOf(await outbox.recordPlace(runId)),
    answer: approvals.answer,
    refuse: approvals.refuse,
    acknowledge: escalations.acknowledge,
    refuseAcknowledgement: createRefusals(parts.database).acknowledgement,
    runs: ({ limit }) => reads.runs({ state: null, outcome: null, playbook: null, target: null, before: null, limit }),
    requestRun: parts.requestRun,
    readSwitch: switches.read,
    setSwitch: switches.set,
    hint: parts.hint,
    isOutage,
    people: slack.people,
    whoIsWho: { users, groups, approvers: config.approvers },
    playbooks: parts.playbooks,
    log,
  };
}

export interface TellingParts {
  readonly config: Config;
  readonly log: Logger;
  readonly database: Database;
  readonly escalations: Escalations;
  readonly outbox: Outbox;
  readonly reads: Reads;
  readonly due: Pick<Due, "oldestSeconds">;
  readonly metrics: Metrics;
  readonly library: World["playbook"];
  readonly slack: SlackParts | null;
  readonly pausedHere: () => boolean;
  /** The host whose checks this worker can measure too; null: none. */
  readonly host: string | null;
  readonly hint: (runIds: readonly string[]) => void;
}

export interface Telling {
  /** There is something to be told. Never throws. */
  nudge(): void;
  stop(): Promise<void>;
}

/** How often approvals that nobody was asked for and runs that may have recovered are looked for. */
const lookEveryMs = 2_000;

/** What tells people. It needs the store only, so it works while the queue is away. */
export function startTelling(parts: TellingParts): Telling {
  const { config, log, database, escalations, outbox, reads, metrics, library, slack } = parts;
  const email = config.email ? createEmail({ smtpUrl: config.email.smtp.reveal(), from: config.email.from }) : null;
  const { host, port } = config.listen;
  const around = { publicUrl: config.publicUrl, listenUrl: `http://${host}:${port}` };
  const desk = openDesk({
    store: { ...escalations, ...outbox },
    levelsOf: levelsOf(config.escalation),
    reach: createReach(config.escalation, config.contacts, voicesOf(config, slack, email)),
    subject: async ({ runId, way }) => {
      const history = await reads.events(runId, 0);
      const [created] = history;
      const loaded = created?.type === "created" ? await library(created.playbookHash) : null;
      const otherPages = way === "pagerduty" ? await outbox.otherPages(runId) : [];
      const { summary = null, steps = [] } = loaded?.playbook ?? {};
      const changes = new Map(
        steps.flatMap((step) => (step.kind === "change" ? [[step.id, { action: step.do, risk: step.risk }]] : [])),
      );
      return subjectOf(runId, history, { ...around, otherPages, summary, changes });
    },
    log,
    metrics,
    onAnnounced: (runId) => parts.hint([runId]),
  });
  outbox
    .revive()
    .then((count) => {
      if (count > 0) log.info({ count }, "messages to people that had been given up are tried again");
    })
    .catch((error: Error) => log.warn({ err: error }, "could not try again what had been given up"))
    .finally(desk.nudge);
  const unasked = createUnasked(database);
  const recoveries = {
    store: createRecoveries(database),
    playbook: library,
    targets: new Map(config.targets.map((target) => [target.name, target])),
    host: parts.host,
    tellPeople: desk.nudge,
    pausedHere: parts.pausedHere,
    log,
    now: Date.now,
  };
  const asking = startRounds(
    lookEveryMs,
    () =>
      escalateUnasked({
        store: unasked,
        afterMs: config.approvals.escalateAfterMs,
        policyOf: async (hash) => {
          const loaded = await library(hash);
          return loaded ? (loaded.playbook.escalate?.policy ?? null) : undefined;
        },
        hasSlack: slack !== null,
        tellPeople: desk.nudge,
        log,
      }),
    (error) => log.warn({ err: error }, "could not look for approvals without an answer; looking again"),
  );
  // Rounds of their own: what is measured may hang until its time is up.
  const measuring = startRounds(
    lookEveryMs,
    (stopping) => lookForRecoveries(recoveries, stopping),
    (error) => log.warn({ err: error }, "could not look for recoveries; looking again"),
  );
  const beating = config.heartbeat ? beat(config.heartbeat, parts) : null;
  return {
    nudge: desk.nudge,
    stop: async () => {
      await Promise.all([desk.stop(), asking.stop(), measuring.stop(), beating?.stop()]);
      email?.close();
    },
  };
}

/** A run that waits for its host is due all the while, and is handed over when that takes too long. */
const stuckBeyondHostWaitMs = 120_000;

function beat(heartbeat: NonNullable<Config["heartbeat"]>, parts: TellingParts): { stop(): Promise<void> } {
  const { config, database, due, log } = parts;
  const untold = createUntold(database);
  return startHeartbeat({
    url: heartbeat.url.reveal(),
    everyMs: heartbeat.everyMs,
    stuckAfterMs: config.worker.hostWaitMs + stuckBeyondHostWaitMs,
    turns: createHeartbeatTurns(database),
    vitals: async () => {
      const [oldestDueSeconds, { dead, failing, oldestSeconds }] = await Promise.all([due.oldestSeconds(), untold()]);
      return { oldestDueSeconds, dead, failing, oldestMessageSeconds: oldestSeconds };
    },
    log,
  });
}

function voicesOf(config: Config, slack: SlackParts | null, email: ReturnType<typeof createEmail> | null): Voices {
  const pagerduty = createPagerDuty({
    server: config.pagerduty?.server ?? "events.pagerduty.com",
    ...(config.pagerduty ? { severities: config.pagerduty.severities } : {}),
  });
  const sharedPages = createSharedPages(config.escalation, config.contacts);
  const levels = (message: Message) => config.escalation.get(message.policy)?.length ?? 1;
  const changesKey = config.pagerduty?.routingKey ?? null;
  const call = slack?.call ?? null;
  return {
    email: email
      ? (to) => followNotice({ deliver: email.deliver, to, told: to.join(", "), levels, tells: mailTells })
      : null,
    emailReport: email ? (to) => mailReport({ send: email.send, from: config.email?.from ?? "", to }) : null,
    pagerduty: (routingKey) =>
      followNotice({
        deliver: pagerduty.deliver,
        to: routingKey,
        told: "PagerDuty",
        levels,
        tells: pagerDutyTells,
        shared: (subject) => sharedPages(routingKey, subject),
      }),
    slackMessage: call ? (channel) => followLevel({ call, channelOf: () => channel }) : null,
    slackReport: call ? (channel) => followReport({ call, channel }) : null,
    slackRecord: call && config.slack ? followRecord({ call, channel: config.slack.channel }) : null,
    slackAnnouncement:
      call && config.announcements.slack !== null
        ? followAnnouncement({ call, channel: config.announcements.slack })
        : null,
    statusPage: config.statusPage ? createStatusPage(config.statusPage).follow : null,
    changes: changesKey
      ? followChanges({
          change: (change, signal) => pagerduty.change(change, changesKey.reveal(), signal),
          to: "PagerDuty",
        })
      : null,
  };
}
