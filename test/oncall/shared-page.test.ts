/** Two runs of one firing are one page at PagerDuty: it is acknowledged by the last that somebody has, and ended by the last that is over. */

import { createRecoveries } from "../../src/store/recoveries.ts";
import { type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import { playbookYaml } from "../support/spine.ts";
import { until } from "../support/until.ts";

const alert = { fingerprint: "00000000000000ab" };
const page = { pagerduty: { reveal: () => routingKey } };
const elsewhere = "another0123456789abcdef012345678";

let oncall: OnCall;

afterEach(() => oncall.close());

/** Two runs of one firing, both handed over, with their pages told. */
async function twoRuns(levels: Parameters<typeof startOnCall>[0]): Promise<readonly [string, string]> {
  const playbooks = ["first", "second"].map((name) => playbookYaml({ name, extra: "escalate: ward" }));
  oncall = await startOnCall(levels, { playbooks, patient: { curable: false } });
  await oncall.spine.start(alert);
  const { rows } = await oncall.spine.database.pool.query<{ id: string }>("SELECT id FROM paramedic.runs ORDER BY id");
  for (const { id } of rows) expect(await oncall.spine.settle(id)).toMatchObject({ outcome: "ineffective" });
  oncall.open();
  await until(() => events("trigger").length === rows.length, { what: "both runs to be told" });
  await allShown();
  const [one, other] = rows.map(({ id }) => id);
  return [one as string, other as string];
}

const events = (kind: string) =>
  oncall.pagerDuty.requests
    .filter(({ body }) => body?.["event_action"] === kind)
    .map(({ body }) => body?.["dedup_key"]);

/** Everything that happened so far has been taken into account. */
const allShown = () =>
  until(
    async () =>
      (
        await oncall.spine.database.pool.query(
          "SELECT FROM paramedic.outbox WHERE shown_seq = 0 OR (due_at IS NOT NULL AND state = 'following') OR lease_until IS NOT NULL",
        )
      ).rowCount === 0,
    { what: "everything to be told" },
  );

async function recover(run: string): Promise<void> {
  await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET recheck_at = now() WHERE run_id = $1", [
    run,
  ]);
  await createRecoveries(oncall.spine.database).recovered(run, "it is over");
  await allShown();
}

test("the page stays open until the last of the two is over", async () => {
  const [one, other] = await twoRuns([{ afterMs: 0, ...page }]);
  expect(new Set(events("trigger")).size).toBe(1);
  await recover(one);
  expect(events("resolve")).toEqual([]);
  expect(oncall.pagerDuty.open(routingKey).size).toBe(1);
  await recover(other);
  await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
  expect(events("resolve")).toHaveLength(1);
});

test("it is acknowledged when somebody has both", async () => {
  const [one, other] = await twoRuns([{ afterMs: 0, ...page }]);
  await oncall.escalations.acknowledge(one, "api:night");
  await allShown();
  expect(events("acknowledge")).toEqual([]);
  await oncall.escalations.acknowledge(other, "api:night");
  await until(() => events("acknowledge").length === 1, { what: "the acknowledgement" });
});

test("it is acknowledged when one is over and somebody has the other", async () => {
  const [one, other] = await twoRuns([{ afterMs: 0, ...page }]);
  await oncall.escalations.acknowledge(one, "api:night");
  await allShown();
  await recover(other);
  expect([events("acknowledge").length, events("resolve").length]).toEqual([1, 0]);
  await recover(one);
  // Each run's message says so where both are looked at in the same moment; to hear it twice harms nobody.
  expect(new Set(events("resolve")).size).toBe(1);
});

test("what went to another service has nothing to do with it", async () => {
  const [one, other] = await twoRuns([{ afterMs: 0, ...page }]);
  await oncall.spine.database.pool.query("UPDATE paramedic.outbox SET policy = $1 WHERE run_id = $2", [
    elsewhere,
    other,
  ]);
  await recover(one);
  expect(events("resolve")).toHaveLength(1);
});
