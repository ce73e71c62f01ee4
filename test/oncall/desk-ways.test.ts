/** The desk and its ways: one that hangs does not keep the others from being used, and what fails is counted. */

import type { Followed } from "../../src/domain/followed.ts";
import type { Rounds } from "../../src/domain/rounds.ts";
import { tell } from "../../src/domain/story.ts";
import { newId } from "../../src/ids.ts";
import { type DeskOptions, openDesk, type TakenMessage } from "../../src/oncall/desk.ts";
import type { Message } from "../../src/oncall/way.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { createOutbox } from "../../src/store/outbox.ts";
import { closeStores, newStore, storedRun, type TestStore } from "../support/store.ts";
import { sleep, until } from "../support/until.ts";
import { subjectAfter } from "./notices.ts";

let store: TestStore;
let desk: Rounds | null = null;
let told: string[];
let hanging: number;
let announced: string[];

beforeEach(async () => {
  store = await newStore();
  [told, hanging, announced] = [[], 0, []];
});

afterEach(async () => {
  await desk?.stop();
  desk = null;
});

afterAll(closeStores);

const ok: Followed = { ok: true, place: null, shownSeq: 1, told: "somebody", done: true };

/** PagerDuty hangs until the desk closes. */
async function follow(message: Message, signal: AbortSignal): Promise<Followed> {
  if (message.way !== "pagerduty") {
    told.push(message.way);
    return ok;
  }
  hanging += 1;
  await new Promise((resolve) => {
    signal.addEventListener("abort", resolve, { once: true });
  });
  const { place, shownSeq } = message;
  return { ok: false, reason: "it hangs", retryable: true, place, shownSeq };
}

function open(over: Partial<DeskOptions> = {}): void {
  const outbox = createOutbox(store.database);
  const escalations = createEscalations(store.database, newId);
  desk = openDesk({
    store: { ...escalations, ...outbox },
    levelsOf: () => [],
    reach: () => (message, _subject, signal) => follow(message, signal),
    subject: async () => subjectAfter(),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    metrics: { noticeDelivered: () => {}, noticeFailed: () => {} },
    onAnnounced: (run) => void announced.push(run),
    everyMs: 50,
    ...over,
  });
}

async function put(way: string, topic = "notify", run: string | null = null): Promise<string> {
  const of = run ?? (await storedRun(store));
  await store.sql(
    "INSERT INTO paramedic.outbox (id, run_id, topic, way, policy, level) VALUES ($1, $2, $3, $4, 'paging', 0)",
    [newId(), of, topic, way],
  );
  return of;
}

test("a way that hangs is used twenty times at once and no more, and the other ways go on", async () => {
  for (let index = 0; index < 45; index += 1) await put("pagerduty");
  open();
  await until(() => hanging === 20, { what: "the way to have as much as it may" });
  for (let index = 0; index < 5; index += 1) await put("email");
  const begun = performance.now();
  await until(() => told.length === 5, { what: "the mails" });
  expect(performance.now() - begun).toBeLessThan(2_000);
  expect(hanging).toBe(20);
});

/** So many messages about as many runs. */
async function flood(way: string, count: number, topic = "notify"): Promise<void> {
  await store.sql(
    `WITH runs AS (
       INSERT INTO paramedic.runs (id, playbook, playbook_hash, lock_key, trigger, state, outcome, last_seq, last_hash)
       SELECT gen_random_uuid(), 'flood', 'hash', 'db-' || number, 'request', 'ended', 'failed', 1, ''
       FROM generate_series(1, $2::int) AS number
       RETURNING id)
     INSERT INTO paramedic.outbox (id, run_id, topic, way, policy, level, due_at)
     SELECT gen_random_uuid(), id, $3, $1, 'ward', 0, now() - interval '1 minute' FROM runs`,
    [way, count, topic],
  );
}

test.each<[string, Followed | null]>([
  ["takes nothing", { ok: false, reason: "it is down", retryable: true, place: null, shownSeq: 0 }],
  ["is slow", null],
])("a page is told at once while five hundred mails wait for a server that %s", async (_how, failure) => {
  await flood("email", 500, "handed-over");
  await put("pagerduty");
  open({
    everyMs: 1_000,
    reach: (message) => async () => {
      if (message.way === "email") {
        await sleep(failure ? 5 : 300);
        return failure ?? ok;
      }
      told.push(message.way);
      return ok;
    },
  });
  const begun = performance.now();
  await until(() => told.length === 1, { what: "the page" });
  expect(performance.now() - begun).toBeLessThan(2_500);
});

test("what is more than can be told at once does not wait for the next look", async () => {
  await flood("email", 300);
  open({ everyMs: 1_500 });
  await until(() => told.length === 300, { what: "all of them" });
  const begun = performance.now();
  await flood("email", 300);
  await until(() => told.length === 600, { what: "all the others", timeoutMs: 20_000 });
  // One look tells twenty: by looks alone it would take more than twenty seconds.
  expect(performance.now() - begun).toBeLessThan(10_000);
});

test("a desk that closes lets a call come back that is under way: it is not made again", async () => {
  await put("slack");
  let answer: (followed: Followed) => void = () => {};
  let broken = false;
  open({
    reach: () => (_message, _subject, signal) => {
      signal.addEventListener("abort", () => {
        broken = true;
      });
      return new Promise((resolve) => {
        answer = resolve;
        hanging += 1;
      });
    },
    lastMs: 60_000,
  });
  await until(() => hanging === 1, { what: "the call" });
  const stopped = desk?.stop();
  desk = null;
  await sleep(100);
  expect(broken).toBe(false);
  answer(ok);
  await stopped;
  expect(await store.sql("SELECT state, fence::int FROM paramedic.outbox")).toEqual([{ state: "delivered", fence: 1 }]);
});

test("a desk that closes does not wait for a way that hangs, and what it leaves is due again", async () => {
  await put("pagerduty");
  open({ lastMs: 100 });
  await until(() => hanging === 1, { what: "the delivery to begin" });
  const begun = performance.now();
  await desk?.stop();
  desk = null;
  expect(performance.now() - begun).toBeLessThan(2_000);
  expect(await store.sql("SELECT state, lease_until, due_at IS NOT NULL AS due FROM paramedic.outbox")).toEqual([
    { state: "waiting", lease_until: null, due: true },
  ]);
});

test.each<[string, Followed, readonly string[]]>([
  ["delivered", ok, ["delivered slack"]],
  [
    "refused for good",
    { ok: false, reason: "no such channel", retryable: false, place: null, shownSeq: 0 },
    ["dead slack"],
  ],
])("the run whose announcement was %s is told that it may go on, and it is counted", async (_how, answer, counted) => {
  const counts: string[] = [];
  const run = await put("slack", "announcement");
  open({
    reach: () => async () => answer,
    metrics: {
      noticeDelivered: (way) => void counts.push(`delivered ${way}`),
      noticeFailed: (way, result) => void counts.push(`${result} ${way}`),
    },
  });
  await until(() => announced.length === 1, { what: "the run to be told" });
  await until(() => counts.length === 1, { what: "it to be counted" });
  expect({ announced, counts }).toEqual({ announced: [run], counts: counted });
});

test("an announcement that is tried again holds its run up", async () => {
  await put("slack", "announcement");
  open({
    reach: () => async () => ({ ok: false, reason: "busy", retryable: true, place: null, shownSeq: 0 }),
  });
  await until(async () => (await createOutbox(store.database).troubles()).failing === 1, { what: "the failure" });
  expect(announced).toEqual([]);
});

test("a message that the configuration cannot reach any more is a dead letter that says what to correct", async () => {
  const run = await put("email");
  open({ reach: () => null });
  const last = await until(async () => (await store.reads.events(run, 0)).find(({ type }) => type === "not-told"), {
    what: "the history to say so",
  });
  expect(last).toMatchObject({ reason: expect.stringMatching(/no such level, contact or way.*correct/) });
});

test("who of several could not be told is in the history and in the log, and it is no failure", async () => {
  const run = await put("email");
  const warnings: object[] = [];
  const log = { info: () => {}, warn: (fields: object) => void warnings.push(fields), error: () => {} };
  open({ log, reach: () => async () => ({ ...ok, told: "ops", refused: "not dev: 550" }) });
  const last = await until(async () => (await store.reads.events(run, 0)).find(({ type }) => type === "told"), {
    what: "the history to say so",
  });
  expect(last).toMatchObject({ to: "ops", refused: "not dev: 550" });
  expect(tell(last).text).toBe("Told ops of the alert, but not dev: 550");
  expect(warnings).toMatchObject([{ run, reason: "not dev: 550" }]);
  expect(await createOutbox(store.database).troubles()).toEqual({ dead: 0, failing: 0 });
});

test("a way that throws is tried again", async () => {
  await put("email");
  const seen: TakenMessage[] = [];
  open({
    reach: (message) => {
      seen.push(message as TakenMessage);
      return async () => {
        throw new Error("a bug");
      };
    },
  });
  await until(async () => (await createOutbox(store.database).troubles()).failing === 1, { what: "the failure" });
  expect(await store.sql("SELECT last_error FROM paramedic.outbox")).toEqual([{ last_error: "a bug" }]);
});
