/** Who is told by a playbook's `notify`, on the real store: each entry once, as soon as its condition can be decided. */

import { createOutbox } from "../../src/store/outbox.ts";
import { createSpine, playbookYaml, type Spine, type SpineWorker } from "../support/spine.ts";

let spine: Spine;
let worker: SpineWorker;

afterEach(() => spine.close());

const ways: Readonly<Record<string, readonly string[]>> = { ward: ["email", "slack"], paging: ["pagerduty"] };

async function withNotify(...entries: readonly string[]): Promise<void> {
  const extra = ["notify:", ...entries.map((entry) => `  - ${entry}`)].join("\n");
  spine = await createSpine({ playbooks: [playbookYaml({ extra })] });
  worker = spine.newWorker({ waysOf: (contact) => ways[contact] ?? [] });
}

async function driven(run: string): Promise<void> {
  for (let round = 0; round < 20 && (await spine.row(run)).state !== "ended"; round += 1) await worker.drive(run);
}

const decided = async (run: string) => (await spine.events(run)).filter((event) => event.type === "notifying");

const messages = async () => {
  const { rows } = await spine.database.pool.query<{ text: string }>(
    "SELECT concat_ws(' ', topic, policy, level, way) AS text FROM paramedic.outbox ORDER BY level, way",
  );
  return rows.map(({ text }) => text);
};

test("an entry without a condition is told before anything else, by every way of its contact", async () => {
  await withNotify("{ tell: ward }");
  const run = await spine.start();
  await driven(run);
  expect((await spine.events(run)).slice(0, 3).map(({ type }) => type)).toEqual([
    "created",
    "notifying",
    "step-observed",
  ]);
  expect(await messages()).toEqual(["notify ward 0 email", "notify ward 0 slack"]);
});

test("a condition is decided as soon as the steps that it needs are over, and once", async () => {
  await withNotify("{ tell: paging, if: steps.look.things > 1 }", "{ tell: ward, if: steps.look.things > 5 }");
  const run = await spine.start();
  await driven(run);
  const types = (await spine.events(run)).map(({ type }) => type);
  expect(types.slice(0, 5)).toEqual(["created", "step-observed", "notifying", "notifying", "step-planned"]);
  expect(types.filter((type) => type === "notifying")).toHaveLength(2);
  expect(await decided(run)).toMatchObject([
    { entry: 0, contact: "paging", ways: ["pagerduty"], reason: null },
    { entry: 1, contact: "ward", ways: [], reason: "'steps.look.things > 5' does not hold" },
  ]);
  expect(await messages()).toEqual(["notify paging 0 pagerduty"]);
});

test("a condition that cannot be evaluated tells people all the same and says why", async () => {
  await withNotify(`{ tell: paging, if: 'labels.severity == "critical"' }`);
  const run = await spine.start();
  await driven(run);
  expect(await decided(run)).toMatchObject([
    { ways: ["pagerduty"], reason: expect.stringMatching(/^told in any case: .*severity/) },
  ]);
  expect(await messages()).toEqual(["notify paging 0 pagerduty"]);
});

test("a skipped step is over: a condition may ask for that", async () => {
  await withNotify("{ tell: paging, if: '!has(steps.heal)' }");
  spine.patient.sick = false;
  const run = await spine.start();
  await driven(run);
  expect(await decided(run)).toMatchObject([{ ways: ["pagerduty"] }]);
});

test("a contact that is not configured any more tells nobody, and the history says so", async () => {
  await withNotify("{ tell: ward }");
  const run = await spine.start();
  worker = spine.newWorker();
  await driven(run);
  expect(await decided(run)).toMatchObject([{ ways: [], reason: expect.stringContaining("no such contact") }]);
  expect(await messages()).toEqual([]);
});

test("a dry run tells nobody", async () => {
  await withNotify("{ tell: ward }");
  const run = await spine.request("heal-ward", { dryRun: true });
  await driven(run);
  expect((await spine.row(run)).outcome).toBe("nothing-to-do");
  expect(await decided(run)).toEqual([]);
  expect(await messages()).toEqual([]);
});

test("while the kill switch is on people are told, and nothing else is done", async () => {
  await withNotify("{ tell: ward }");
  await spine.switches.set({ paused: true, reason: "a test", by: "api:x", until: null });
  const run = await spine.start();
  await worker.drive(run);
  expect(await spine.row(run)).toMatchObject({ state: "waiting", waitingFor: "switch" });
  expect(await messages()).toEqual(["notify ward 0 email", "notify ward 0 slack"]);
  expect(spine.patient.looks).toBe(0);
});

test("a run that another worker goes on with is told of once", async () => {
  await withNotify("{ tell: ward }");
  const run = await spine.start();
  const dying = spine.newWorker(
    {
      waysOf: () => ["email"],
      reached: (point) => {
        if (point === "before-observe") throw new Error("the process dies");
      },
    },
    100,
  );
  await expect(dying.drive(run)).rejects.toThrow("the process dies");
  await spine.database.pool.query("UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE id = $1", [run]);
  await driven(run);
  expect((await spine.events(run)).map(({ type }) => type)).toContain("taken-over");
  expect(await decided(run)).toHaveLength(1);
  expect(await createOutbox(spine.database).take(30_000)).toHaveLength(1);
});
