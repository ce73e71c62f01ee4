/** Row 27: between what a person was shown and the click, another query became old enough: the approval does not cover it. */

import { createActions } from "../../src/actions/registry.ts";
import { createPatient, type Patient, type Session } from "../actions/postgres/patient.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { createSpine, type Spine } from "../support/spine.ts";
import { until } from "../support/until.ts";

const playbook = `
name: cancel-after-approval
summary: Cancel what holds the database, after somebody looked.
on: { alerts: ['alertname="Sick"'] }
target: { label: service }
steps:
  - { id: cancel, do: postgres.cancel-queries, with: { olderThanSeconds: 1, atMost: 20 }, approval: always }
verify:
  - { do: postgres.activity, expect: output.longestSeconds < 1, within: 5s }
`;

let patient: Patient;
let spine: Spine;

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
  spine = await createSpine({
    playbooks: [playbook],
    actions: createActions({ prometheusUrl: null }),
    targets: [{ ...patient.target, name: "ward", labels: { service: ["ward"] } }],
  });
});

afterAll(async () => {
  await spine.close();
  await patient.closeSessions();
});

async function longQuery(): Promise<{ session: Session; state: () => string }> {
  const session = await patient.session();
  const running = session.start("SELECT pg_sleep(600)");
  await until(
    async () => {
      const rows = await patient.admin(
        "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND now() - query_start > interval '1.2 s'",
        [session.pid],
      );
      return rows.length === 1;
    },
    { what: "the query to be old enough" },
  );
  return { session, state: () => running.state };
}

const pending = async (run: string) => (await spine.approvals.ofRun(run)).find(({ state }) => state === "pending");

test("an approval does not cover a query that was not shown; the new plan is asked for anew, and applied exactly", async () => {
  const first = await longQuery();
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ waitingFor: "approval" });
  const shown = await pending(run);
  expect(shown?.effects).toHaveLength(1);
  expect(shown?.effects[0]).toContain(String(first.session.pid));

  const second = await longQuery();
  await spine.approvals.answer({
    approval: shown?.id as string,
    decision: "approve",
    digest: shown?.digest as string,
    by: "api:boss",
    reason: null,
  });
  expect(await spine.settle(run)).toMatchObject({ waitingFor: "approval" });
  expect([first.state(), second.state()]).toEqual(["running", "running"]);
  expect((await spine.approvals.ofRun(run)).map(({ state }) => state)).toEqual(["voided", "pending"]);

  const anew = await pending(run);
  expect(anew?.effects).toHaveLength(2);
  expect(anew?.digest).not.toBe(shown?.digest);
  await spine.approvals.answer({
    approval: anew?.id as string,
    decision: "approve",
    digest: anew?.digest as string,
    by: "api:boss",
    reason: null,
  });
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  await until(() => first.state() === "57014" && second.state() === "57014", { what: "both queries to be cancelled" });
});
