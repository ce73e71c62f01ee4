/** What tells people, put together as a process does it: nothing that hangs keeps something else from being told. */

import { openSlack, type SlackParts, startTelling, type Telling } from "../src/app-people.ts";
import type { Happening } from "../src/domain/event.ts";
import type { LoadedPlaybook } from "../src/playbooks/load.ts";
import { createEscalations } from "../src/store/escalations.ts";
import { createOutbox } from "../src/store/outbox.ts";
import { type ConfigFolder, createConfigFolder, minimal } from "./support/config-file.ts";
import { startSlackDouble } from "./support/slack-double.ts";
import { claimedRun, closeStores, newId, newStore, type TestStore, write } from "./support/store.ts";
import { until } from "./support/until.ts";

let store: TestStore;
let folder: ConfigFolder;
let telling: Telling | null = null;

beforeAll(async () => {
  store = await newStore();
  folder = createConfigFolder();
});

afterEach(async () => {
  await telling?.stop();
  telling = null;
});

afterAll(async () => {
  folder.remove();
  await closeStores();
});

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

function start(library: (hash: string) => Promise<LoadedPlaybook | null>): void {
  telling = startTelling({
    config: folder.config(minimal),
    log: quiet as never,
    database: store.database,
    escalations: createEscalations(store.database, newId),
    outbox: createOutbox(store.database),
    reads: store.reads,
    due: store.due,
    metrics: { noticeDelivered() {}, noticeFailed() {} } as never,
    library,
    slack: null,
    pausedHere: () => false,
    host: null,
    hint: () => {},
  });
}

/** A run that has waited for an approval for an hour, without anybody having been asked. */
async function unaskedRun(playbookHash: string): Promise<string> {
  const claimed = await claimedRun(store, { playbookHash });
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const asks: Happening = {
    type: "approval-requested",
    step: "heal",
    approval: newId(),
    digest: "d",
    effects: ["x"],
    reasons: ["risk-high"],
    expiresAt,
    atLeast: 1,
  };
  await write(store, claimed, [asks], { state: "waiting", for: "approval", dueAt: Date.parse(expiresAt) });
  await store.sql("UPDATE paramedic.approvals SET requested_at = now() - interval '1 hour'");
  return claimed.id;
}

/** A run that was handed over and is to be measured again now. */
async function measurableRun(playbookHash: string): Promise<string> {
  const claimed = await claimedRun(store, { playbookHash, target: "other" });
  const outcome = "ineffective" as const;
  await write(store, claimed, [{ type: "ended", outcome, reason: "still sick" }], { state: "ended", outcome });
  await store.sql(
    "INSERT INTO paramedic.escalations (run_id, policy, due_at, recheck_at) VALUES ($1, 'ward', NULL, now())",
    [claimed.id],
  );
  return claimed.id;
}

const escalated = async (run: string) =>
  (await store.reads.events(run, 0)).filter((event) => event.type === "escalated");

test("a measurement that hangs does not keep an approval that nobody was asked for from the escalation", async () => {
  let measuring = false;
  let end = () => {};
  const hanging = new Promise<null>((resolve) => {
    end = () => resolve(null);
  });
  await measurableRun("sha256:aa");
  start(async (hash) => {
    if (hash === "sha256:bb") return { playbook: { escalate: { policy: "ward", holdMs: null } } } as LoadedPlaybook;
    measuring = true;
    return hanging;
  });
  try {
    await until(() => measuring, { what: "the measurement to begin" });
    const run = await unaskedRun("sha256:bb");
    await until(async () => (await escalated(run)).length === 1, { what: "the approval to be escalated" });
    expect(await escalated(run)).toMatchObject([{ policy: "ward", topic: "approval-unasked" }]);
  } finally {
    end();
  }
});

test("a channel that Slack wants left alone is left alone", async () => {
  const slack = await startSlackDouble();
  try {
    const yaml = `slack: { botToken: { env: BOT }, signingSecret: { env: SIGN }, apiUrl: "${slack.apiUrl}", channel: "#ops" }`;
    const env = { BOT: slack.botToken, SIGN: slack.signingSecret };
    const { call } = openSlack(folder.config(`${minimal}${yaml}\n`, env)) as SlackParts;
    slack.fail("chat.postMessage", { retryAfter: 30 }, 1);
    const { signal } = new AbortController();
    for (let times = 0; times < 2; times += 1) {
      const answer = await call("chat.postMessage", { channel: "#ops", text: "done" }, signal);
      expect(answer).toMatchObject({ ok: false, error: "ratelimited" });
    }
    expect(slack.calls("chat.postMessage")).toHaveLength(1);
  } finally {
    await slack.stop();
  }
});

test("an approval whose playbook this worker cannot read is left to another one", async () => {
  const run = await unaskedRun("sha256:unreadable");
  let looks = 0;
  start(async () => {
    looks += 1;
    return null;
  });
  await until(() => looks >= 2, { what: "the worker to have looked twice" });
  expect(await escalated(run)).toEqual([]);
});
