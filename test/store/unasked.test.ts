/** Approvals that nobody could be asked for: found after a time, given to the escalation once, on the real store. */

import { escalateUnasked } from "../../src/oncall/unasked.ts";
import { createOutbox, type OutboxMessage } from "../../src/store/outbox.ts";
import { createUnasked, type UnaskedApproval } from "../../src/store/unasked.ts";
import { claimedRun, closeStores, newId, newStore, type TestStore, write } from "../support/store.ts";

let store: TestStore;

beforeAll(async () => {
  store = await newStore();
});

beforeEach(() => store.sql("TRUNCATE paramedic.approvals, paramedic.escalations, paramedic.outbox"));

afterAll(closeStores);

const unasked = () => createUnasked(store.database);

/** A run that waits for an approval that was requested so long ago. */
async function asked({ secondsAgo = 300, expiresInMs = 60_000 } = {}): Promise<{ run: string; approval: string }> {
  const claimed = await claimedRun(store);
  const approval = newId();
  const expiresAt = new Date(Date.now() + expiresInMs).toISOString();
  const of = { step: "heal", approval, digest: "d", effects: ["x"], reasons: ["risk-high" as const], expiresAt };
  await write(store, claimed, [{ type: "approval-requested", ...of, atLeast: 1 }], {
    state: "waiting",
    for: "approval",
    dueAt: Date.parse(expiresAt),
  });
  await store.sql("UPDATE paramedic.approvals SET requested_at = now() - make_interval(secs => $2) WHERE id = $1", [
    approval,
    secondsAgo,
  ]);
  return { run: claimed.id, approval };
}

/** What looking once has logged. */
async function look(
  policy: string | null = "ward",
  hasSlack = true,
  isReadable = (_hash: string) => true,
): Promise<readonly string[]> {
  const lines: string[] = [];
  const line = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${JSON.stringify(fields)} ${message}`);
  await escalateUnasked({
    store: unasked(),
    afterMs: 120_000,
    policyOf: async (hash) => (isReadable(hash) ? policy : undefined),
    hasSlack,
    tellPeople: () => void lines.push("people are told"),
    log: { warn: line("warn"), error: line("error") },
  });
  return lines;
}

const escalation = async (run: string) =>
  (await store.sql("SELECT topic, policy, next_level FROM paramedic.escalations WHERE run_id = $1", [run]))[0];

const escalated = async (run: string) =>
  (await store.reads.events(run, 0)).filter((event) => event.type === "escalated");

test("an approval that nobody could be asked for in time is given to the escalation, once", async () => {
  const { run } = await asked();
  const lines = await look();
  expect(lines[0]).toBe("people are told");
  expect(lines[1]).toMatch(/^warn .*could not be asked for in Slack/);
  expect(await escalation(run)).toEqual({ topic: "approval-unasked", policy: "ward", next_level: 0 });
  expect(await escalated(run)).toMatchObject([
    { topic: "approval-unasked", policy: "ward", reason: expect.stringContaining("could not be asked for in Slack") },
  ]);
  expect(await look()).toEqual([]);
  expect(await escalated(run)).toHaveLength(1);
});

test("more than a hundred whose playbook only another worker can read keep no other one waiting", async () => {
  const { run: unreadable } = await asked();
  await store.sql("UPDATE paramedic.runs SET playbook_hash = 'sha256:another' WHERE id = $1", [unreadable]);
  await store.sql(
    `INSERT INTO paramedic.approvals (id, run_id, step, digest, effects, reasons, at_least, expires_at, requested_at)
     SELECT (lpad(to_hex(number), 8, '0') || '-0000-7000-8000-000000000000')::uuid, $1, 'heal', 'd', '[]', '[]', 1,
       now() + interval '1 hour', now() - interval '5 minutes'
     FROM generate_series(1, 250) AS number`,
    [unreadable],
  );
  const { run } = await asked();
  await look("ward", true, (hash) => hash !== "sha256:another");
  expect(await escalated(run)).toHaveLength(1);
  expect(await escalated(unreadable)).toEqual([]);
});

test("without a Slack the reason says so", async () => {
  const { run } = await asked();
  await look("ward", false);
  expect(await escalated(run)).toMatchObject([{ reason: expect.stringContaining("no Slack is configured") }]);
});

test("a playbook without an escalation tells nobody, which is an error in the log and stands in the history", async () => {
  const { run } = await asked();
  expect((await look(null)).at(-1)).toMatch(/^error .*nobody knows of it$/);
  expect(await escalation(run)).toBeUndefined();
  expect(await escalated(run)).toMatchObject([{ policy: null }]);
});

test("an approval that nobody knows of is in readiness until it is decided", async () => {
  const troubles = () => createOutbox(store.database).troubles();
  const { approval } = await asked();
  await look(null);
  expect(await troubles()).toEqual({ dead: 1, failing: 0 });
  await store.approvals.answer({ approval, digest: "d", decision: "decline", by: "api:boss", reason: null });
  expect(await troubles()).toEqual({ dead: 0, failing: 0 });
  await asked();
  await look("ward");
  expect(await troubles()).toMatchObject({ dead: 0 });
});

test("a worker that cannot read the playbook leaves the approval to one that can", async () => {
  const { run } = await asked();
  expect(await look("ward", true, () => false)).toEqual([]);
  expect(await escalated(run)).toEqual([]);
  await look();
  expect(await escalation(run)).toMatchObject({ policy: "ward" });
});

test.each<[string, () => Promise<{ run: string; approval: string }>]>([
  ["that is young", () => asked({ secondsAgo: 60 })],
  ["that has expired", () => asked({ expiresInMs: -1_000 })],
  [
    "that is decided",
    async () => {
      const one = await asked();
      const digest = "d";
      await store.approvals.answer({
        approval: one.approval,
        decision: "approve",
        digest,
        by: "api:boss",
        reason: null,
      });
      return one;
    },
  ],
  [
    "that people can see in Slack",
    async () => {
      const one = await asked();
      await store.sql(
        "INSERT INTO paramedic.outbox (id, run_id, topic, way, policy, level) VALUES ($1, $2, 'record', 'slack', '', 0)",
        [newId(), one.run],
      );
      const outbox = createOutbox(store.database);
      const [message] = await outbox.take(30_000);
      const place = { channel: "C0", ts: "1", asked: one.approval };
      const shown = { ok: true, place, shownSeq: 2, told: "Slack #ops", done: false } as const;
      await outbox.settle(message as OutboxMessage, shown);
      return one;
    },
  ],
])("an approval %s is left alone", async (_what, make) => {
  const { run } = await make();
  expect(await look()).toEqual([]);
  expect(await escalated(run)).toEqual([]);
});

test("an approval that is decided between the look and the escalation tells nobody", async () => {
  const { run, approval } = await asked();
  const [found] = await unasked().find(120_000);
  await store.approvals.answer({ approval, decision: "decline", digest: "d", by: "api:boss", reason: null });
  expect(await unasked().escalate(found as UnaskedApproval, "ward", "nobody was asked")).toBe(false);
  expect(await escalation(run)).toBeUndefined();
});

test("of many workers one escalates", async () => {
  const { run } = await asked();
  const [found] = await unasked().find(120_000);
  const all = await Promise.all(
    Array.from({ length: 6 }, () => unasked().escalate(found as UnaskedApproval, "ward", "nobody was asked")),
  );
  expect(all.filter(Boolean)).toHaveLength(1);
  expect(await escalated(run)).toHaveLength(1);
  expect(await store.reads.firstBrokenEvent(run)).toBeNull();
});

test("a held page gives way to it: people are told now", async () => {
  const { run } = await asked();
  await store.sql(
    "INSERT INTO paramedic.escalations (run_id, policy, topic, held, due_at) VALUES ($1, 'ward', 'held', true, now() + interval '1 hour')",
    [run],
  );
  await look();
  expect(await store.sql("SELECT topic, held, due_at <= now() AS due FROM paramedic.escalations")).toEqual([
    { topic: "approval-unasked", held: false, due: true },
  ]);
});
