/** Announcing, on the real store: the line is stored before the first change is intended, and the change waits for it, but not for ever. */

import { createOutbox, type OutboxMessage } from "../../src/store/outbox.ts";
import { createSpine, playbookYaml, type Spine, type SpineWorker } from "../support/spine.ts";
import { until } from "../support/until.ts";

let spine: Spine;
let worker: SpineWorker;
/** How often whoever tells people was told that there is something to be told. */
let nudged = 0;

afterEach(() => spine.close());

async function announcing(
  { extra = "", leadMs = 600_000, places = ["slack"] }: { extra?: string; leadMs?: number; places?: string[] } = {},
  ...others: readonly string[]
): Promise<void> {
  nudged = 0;
  spine = await createSpine({ playbooks: [playbookYaml({ extra }), ...others] });
  const tellPeople = () => {
    nudged += 1;
  };
  worker = spine.newWorker({ announcements: { places, leadMs }, tellPeople });
}

const typesOf = async (run: string) => (await spine.events(run)).map(({ type }) => type);

const outbox = () => createOutbox(spine.database);

/** Whoever tells people says that they were told. */
async function tell(message: OutboxMessage): Promise<void> {
  const told = { ok: true, place: { ts: "1" }, shownSeq: 1, told: "Slack #ops", done: false } as const;
  expect(await outbox().settle(message, told)).toBe("done");
}

async function ended(run: string) {
  await until(
    async () => {
      await worker.drive(run);
      return (await spine.row(run)).state === "ended";
    },
    { what: "the run to end", timeoutMs: 20_000 },
  );
  return spine.row(run);
}

test("the announcement is stored before the change is intended, and the change waits until it is told", async () => {
  await announcing();
  const run = await spine.start();
  await worker.drive(run);
  expect(await spine.row(run)).toMatchObject({ state: "waiting", waitingFor: "announcement" });
  expect(await typesOf(run)).toEqual(["created", "step-observed", "step-planned", "announcing"]);
  expect((await spine.events(run)).at(-1)).toMatchObject({ step: "heal", effects: ["heal one", "heal two"] });
  expect(nudged).toBe(1);
  const messages = await outbox().take(30_000);
  expect(messages).toMatchObject([{ runId: run, topic: "announcement", way: "slack" }]);
  await worker.drive(run);
  expect(spine.patient.applied).toEqual([]);
  await tell(messages[0] as OutboxMessage);
  expect(await ended(run)).toMatchObject({ outcome: "fixed" });
  const types = await typesOf(run);
  expect(types.indexOf("told")).toBeLessThan(types.indexOf("step-started"));
  // What was told is brought up to date: how it ended.
  expect(await outbox().take(30_000)).toMatchObject([{ topic: "announcement", shownSeq: 1 }]);
});

test("while it waits for its announcement it keeps its target", async () => {
  await announcing();
  const run = await spine.start();
  await worker.drive(run);
  const { rows } = await spine.database.pool.query("SELECT run_id FROM paramedic.target_locks");
  expect(rows).toEqual([{ run_id: run }]);
});

test("a place that cannot be told holds a change up for ten seconds and no longer", async () => {
  await announcing();
  const run = await spine.start();
  const begun = performance.now();
  expect(await ended(run)).toMatchObject({ outcome: "fixed" });
  const tookMs = performance.now() - begun;
  expect(tookMs).toBeGreaterThan(9_500);
  expect(tookMs).toBeLessThan(15_000);
});

test("an announcement that is given up lets the change go on at once", async () => {
  await announcing();
  const run = await spine.start();
  await worker.drive(run);
  const [message] = await outbox().take(30_000);
  const refused = { ok: false, reason: "channel_not_found", retryable: false, place: null, shownSeq: 0 } as const;
  expect(await outbox().settle(message as OutboxMessage, refused)).toBe("dead");
  const begun = performance.now();
  expect(await ended(run)).toMatchObject({ outcome: "fixed" });
  expect(performance.now() - begun).toBeLessThan(5_000);
  expect(await typesOf(run)).toContain("not-told");
});

test("with `announce: before` the target is free for others meanwhile, and what is due is planned anew", async () => {
  await announcing(
    { extra: "announce: before", leadMs: 2_500 },
    playbookYaml({ name: "quick", alertname: "Urgent", extra: "announce: never" }),
  );
  const run = await spine.start();
  await worker.drive(run);
  expect(await spine.row(run)).toMatchObject({ state: "waiting", waitingFor: "lead-time" });
  const announced = (await spine.events(run)).at(-1);
  expect(announced).toMatchObject({ type: "announcing", effects: ["heal one", "heal two"] });
  await tell((await outbox().take(30_000))[0] as OutboxMessage);

  const other = await spine.start({ labels: { alertname: "Urgent", service: "ward" } });
  spine.patient.things = ["one"];
  spine.patient.curable = false;
  await worker.drive(other);
  expect(spine.patient.applied).toEqual([["one"]]);
  await spine.requests.cancel(other, "api:x", "enough");
  await worker.drive(other);
  spine.patient.curable = true;
  spine.patient.things = ["two", "three"];

  expect(await ended(run)).toMatchObject({ outcome: "fixed" });
  expect(spine.patient.applied).toEqual([["one"], ["two", "three"]]);
  const events = await spine.events(run);
  const started = events.find(({ type }) => type === "step-started");
  if (announced?.type !== "announcing") throw new Error("nothing was announced");
  expect(Date.parse(started?.at ?? "")).toBeGreaterThanOrEqual(Date.parse(announced.notBefore));
  expect(events.filter(({ type }) => type === "announcing")).toHaveLength(1);
  expect(events.filter(({ type }) => type === "step-planned")).toHaveLength(2);
});

test("a run is announced once, at every place, however many changes it makes", async () => {
  await announcing(
    { places: ["slack", "status-page"] },
    [
      "name: twice",
      "summary: Two changes.",
      `on: { alerts: ['alertname="Twice"'] }`,
      "target: { label: service }",
      "steps:",
      "  - { id: first, do: patient.heal }",
      "  - { id: second, do: patient.heal, with: { note: again } }",
    ].join("\n"),
  );
  spine.patient.onApply = () => ({ status: "done", result: null });
  const run = await spine.start({ labels: { alertname: "Twice", service: "ward" } });
  await worker.drive(run);
  const messages = await outbox().take(30_000);
  expect(messages.map(({ way }) => way).sort()).toEqual(["slack", "status-page"]);
  await tell(messages[0] as OutboxMessage);
  await worker.drive(run);
  expect(await typesOf(run)).not.toContain("step-started");
  await tell(messages[1] as OutboxMessage);
  await ended(run);
  const types = await typesOf(run);
  expect(types.filter((type) => type === "step-finished")).toHaveLength(2);
  expect(types.filter((type) => type === "announcing")).toHaveLength(1);
  const { rows } = await spine.database.pool.query("SELECT FROM paramedic.outbox WHERE topic = 'announcement'");
  expect(rows).toHaveLength(2);
});

test.each([
  ["a playbook that announces nothing", "announce: never", true],
  ["a run with nothing to change", "", false],
])("%s is not announced", async (_what, extra, sick) => {
  await announcing({ extra });
  spine.patient.sick = sick;
  const run = await spine.start();
  await ended(run);
  expect(await typesOf(run)).not.toContain("announcing");
  expect(await outbox().take(30_000)).toEqual([]);
});
