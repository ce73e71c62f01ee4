/** Slack's doors on a real HTTP server with the real store and the desk that posts, against the double of Slack. */

import { Router } from "express";
import { v7 as newId } from "uuid";
import type { Approval } from "../../src/domain/approval.ts";
import type { ApproverSet } from "../../src/domain/approver.ts";
import type { Happening, RunEvent } from "../../src/domain/event.ts";
import type { Playbook } from "../../src/domain/playbook.ts";
import type { Role } from "../../src/domain/role.ts";
import { startHttpServer } from "../../src/http/server.ts";
import { openDesk } from "../../src/oncall/desk.ts";
import { subjectOf } from "../../src/oncall/notice.ts";
import { createSlackDoors, type SlackDoors } from "../../src/oncall/slack/doors.ts";
import { followLevel } from "../../src/oncall/slack/level.ts";
import { paced } from "../../src/oncall/slack/paced.ts";
import { createPeople } from "../../src/oncall/slack/people.ts";
import { followRecord } from "../../src/oncall/slack/record.ts";
import { createSlackWeb } from "../../src/oncall/slack/web.ts";
import type { RecordPlace, SlackWorld } from "../../src/oncall/slack/world.ts";
import { createRequestRun } from "../../src/playbooks/request.ts";
import { createAppend } from "../../src/store/append.ts";
import { createClicks } from "../../src/store/clicks.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { isOutage } from "../../src/store/outage.ts";
import { createOutbox } from "../../src/store/outbox.ts";
import { createRefusals } from "../../src/store/refusals.ts";
import { playbook } from "./builders.ts";
import { type SlackDouble, startSlackDouble } from "./slack-double.ts";
import type { SlackMessage } from "./slack-double-workspace.ts";
import { claimOf, closeStores, newStore, sameStore, type TestStore } from "./store.ts";
import { until } from "./until.ts";

/** Who is configured: `U0NOBODY` and whoever else is not. `U0MATE` is an approver by their group. */
export const users: ReadonlyMap<string, Role> = new Map([
  ["U0SCREEN", "viewer"],
  ["U0SHIFT", "operator"],
  ["U0LEAD", "approver"],
  ["U0DEPUTY", "approver"],
  ["U0CHIEF", "admin"],
]);
export const groups: ReadonlyMap<string, Role> = new Map([["S0ONCALL", "approver"]]);
export const approvers: ReadonlyMap<string, ApproverSet> = new Map([
  ["dba", { name: "dba", users: ["U0DEPUTY"], groups: [], tokens: ["dba-cli"] }],
]);

const dose = { type: "integer", description: null, default: 1, required: false } as const;
const note = { type: "string", description: null, default: null, required: false } as const;

export const playbooks: readonly Playbook[] = [
  playbook({
    name: "heal-ward",
    target: { label: "service" },
    on: { alerts: null, request: { inputs: { dose, note } } },
  }),
  playbook({ name: "fixed-ward", target: { name: "ward" }, on: { alerts: null, request: { inputs: {} } } }),
];

/** A run that waits for an approval, with the message that asks for it. */
export interface Asked {
  readonly run: string;
  readonly approval: string;
  readonly digest: string;
  readonly message: SlackMessage;
}

export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** One process: its own view of the store, doors and server. */
export interface DoorProcess {
  readonly doors: SlackDoors;
  readonly world: SlackWorld;
  /** Where Slack is to post. */
  readonly url: string;
  readonly origin: string;
  stop(): Promise<void>;
}

export interface SlackHouse extends DoorProcess {
  readonly slack: SlackDouble;
  readonly store: TestStore;
  readonly lines: LogLine[];
  readonly hinted: string[];
  readonly skews: number[];
  ask(options?: AskOptions): Promise<Asked>;
  /** A run that was handed over, with the message that asks somebody to have it. */
  handOver(): Promise<{ readonly run: string; readonly message: SlackMessage }>;
  /** Another process on the same store; `changes` are made to its world. */
  another(changes?: Partial<SlackWorld>, options?: { readonly databaseUrl?: string }): Promise<DoorProcess>;
  approval(id: string): Promise<Approval>;
  events(run: string): Promise<readonly RunEvent[]>;
  /** What one user was told and nobody else saw, oldest first. */
  told(user: string): readonly string[];
  /** Waits until the user was told something that holds this. */
  untilTold(user: string, part: string | RegExp): Promise<string>;
}

export interface AskOptions {
  readonly by?: string;
  readonly atLeast?: number;
  readonly approvers?: readonly string[];
  readonly expiresInMs?: number;
  readonly effects?: readonly string[];
  /** False: comes back as soon as the message is to be seen, while Slack has perhaps not answered the post. */
  readonly untilPlaced?: boolean;
}

export async function startSlackHouse(
  options: { readonly socket?: boolean; readonly start?: boolean; readonly changes?: Partial<SlackWorld> } = {},
): Promise<SlackHouse> {
  const store = await newStore();
  const slack = await startSlackDouble();
  for (const id of [...users.keys(), "U0MATE", "U0NOBODY"]) slack.addUser(id);
  slack.setGroup("S0ONCALL", ["U0MATE"]);
  const lines: LogLine[] = [];
  const hinted: string[] = [];
  const skews: number[] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message });
  const log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const call = paced(createSlackWeb({ token: slack.botToken, apiUrl: slack.apiUrl, timeoutMs: 2_000 }));
  const append = createAppend(store.database, { newId, asksInSlack: true, tellsChanges: false });
  const escalations = createEscalations(store.database, newId);
  const outbox = createOutbox(store.database);
  const record = followRecord({ call, channel: "#ops" });
  const level = followLevel({ call, channelOf: () => "#ops" });
  const desk = openDesk({
    store: { ...escalations, ...outbox },
    levelsOf: () => [{ afterMs: 0, ways: ["slack"] }],
    reach: ({ topic }) => (topic === "record" ? record : level),
    subject: async ({ runId: run }) =>
      subjectOf(run, await store.reads.events(run, 0), {
        publicUrl: null,
        listenUrl: "http://127.0.0.1:9095",
        summary: "A playbook of the tests.",
      }),
    log,
    metrics: { noticeDelivered: () => undefined, noticeFailed: () => undefined },
    everyMs: 50,
  });

  function worldOf(view: TestStore): SlackWorld {
    const clicks = createClicks(view.database);
    const hint = (ids: readonly string[]) => void hinted.push(...ids);
    return {
      keepClick: clicks.keep,
      takeClicks: clicks.takeLeft,
      clickHandled: clicks.handled,
      approval: view.approvals.find,
      pendingApprovalsOf: async (part) =>
        (await view.approvals.list({ state: "pending", limit: 1_000 })).filter(({ runId }) => runId.startsWith(part)),
      recordPlace: async (run) => (await createOutbox(view.database).recordPlace(run)) as RecordPlace | null,
      answer: view.approvals.answer,
      refuse: view.approvals.refuse,
      acknowledge: createEscalations(view.database, newId).acknowledge,
      refuseAcknowledgement: createRefusals(view.database).acknowledgement,
      runs: ({ limit }) =>
        view.reads.runs({ state: null, outcome: null, playbook: null, target: null, limit, before: null }),
      requestRun: createRequestRun({
        playbooks,
        targets: [{ name: "ward" }, { name: "clinic" }],
        store: view.requests,
        hint,
        newId,
        now: Date.now,
        log,
      }),
      readSwitch: view.switches.read,
      setSwitch: view.switches.set,
      hint,
      isOutage,
      people: createPeople({ web: call, users, groups, approverGroups: [], cacheMs: 60_000 }),
      whoIsWho: { users, groups, approvers },
      playbooks,
      log,
    };
  }

  async function openDoors(view: TestStore, changes: Partial<SlackWorld>): Promise<DoorProcess> {
    const world = { ...worldOf(view), ...changes };
    const doors = createSlackDoors({
      world,
      call,
      apiUrl: slack.apiUrl,
      signingSecret: options.socket ? null : slack.signingSecret,
      appToken: options.socket ? slack.appToken : null,
      onSkew: (seconds) => void skews.push(seconds),
    });
    const router = Router();
    if (doors.router) router.use(doors.router);
    const server = await startHttpServer({ host: "127.0.0.1", port: 0, routers: [router], log });
    if (options.start ?? true) doors.start();
    return {
      doors,
      world,
      origin: server.url,
      url: `${server.url}/slack/events`,
      stop: async () => {
        await doors.stop();
        await server.close();
      },
    };
  }

  const first = await openDoors(store, options.changes ?? {});
  const others: DoorProcess[] = [];
  slack.sendTo(options.socket ? "socket" : first.url);

  async function writeRun(
    by: string,
    happenings: readonly Happening[],
    ended: boolean,
    dueAt: number,
  ): Promise<string> {
    const trigger = { kind: "request", by, reason: "a test" } as const;
    const run = { id: newId(), playbook: "heal-ward", playbookHash: "sha256:00", target: "ward", trigger };
    const { id } = await store.requests.create({ ...run, inputs: {}, dryRun: false, hold: null }, by, null);
    const { fence, lastSeq, lastHash } = await claimOf(store, id);
    const at = new Date().toISOString();
    const written = await append({
      runId: id,
      fence,
      lastSeq,
      lastHash,
      happenings: happenings.map((one) => ({ at, ...one })),
      standing: ended ? { state: "ended", outcome: "failed" } : { state: "waiting", for: "approval", dueAt },
    });
    if (written.kind !== "written") throw new Error(`nothing was written: ${written.kind}`);
    desk.nudge();
    return id;
  }

  const messageOf = (run: string, button: string) =>
    until(
      () =>
        slack
          .messages()
          .find(({ blocks }) => JSON.stringify(blocks).includes(run) && JSON.stringify(blocks).includes(button)),
      { what: `a message about ${run} with ${button}` },
    );
  const told = (user: string) => slack.ephemerals.filter((one) => one.user === user).map(({ text }) => text);

  return {
    ...first,
    slack,
    store,
    lines,
    hinted,
    skews,
    ask: async ({
      by = "api:tests",
      atLeast = 1,
      expiresInMs = 60_000,
      effects = ["bed 1 gets a blanket"],
      untilPlaced = true,
      ...rest
    } = {}) => {
      const approval = newId();
      const digest = `sha256:${approval.replaceAll("-", "")}`;
      const expiresAt = new Date(Date.now() + expiresInMs).toISOString();
      const asked = { step: "heal", approval, digest, effects, reasons: ["risk-high"] as const, expiresAt, atLeast };
      const run = await writeRun(
        by,
        [
          { type: "step-planned", step: "heal", digest, plan: { beds: [1] }, effects, durationMs: 1 },
          { type: "approval-requested", ...asked, ...(rest.approvers ? { approvers: rest.approvers } : {}) },
        ],
        false,
        Date.parse(expiresAt),
      );
      const message = await messageOf(run, "paramedic-approve");
      if (untilPlaced) await until(() => outbox.recordPlace(run), { what: "the place of the message" });
      return { run, approval, digest, message };
    },
    handOver: async () => {
      const run = await writeRun(
        "api:tests",
        [
          { type: "escalated", policy: "ward", reason: "it did not help" },
          { type: "ended", outcome: "failed", reason: "it did not help" },
        ],
        true,
        0,
      );
      return { run, message: await messageOf(run, "paramedic-acknowledge") };
    },
    another: async (changes = {}, { databaseUrl = store.url } = {}) => {
      const other = await openDoors(sameStore(databaseUrl), changes);
      others.push(other);
      return other;
    },
    approval: async (id) => {
      const found = await store.approvals.find(id);
      if (!found) throw new Error(`there is no approval ${id}`);
      return found;
    },
    events: (run) => store.reads.events(run, 0),
    told,
    untilTold: (user, part) =>
      until(() => told(user).find((text) => (typeof part === "string" ? text.includes(part) : part.test(text))), {
        what: () => `${user} to be told ${part}; was told ${JSON.stringify(told(user))}`,
      }),
    stop: async () => {
      await Promise.all([first, ...others].map((one) => one.stop()));
      await desk.stop();
      await slack.stop();
      await closeStores();
    },
  };
}
