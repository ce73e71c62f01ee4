import { type CancelPlan, cancelQueries } from "../../src/actions/postgres/cancel-queries.ts";
import { contextFor } from "../actions/context.ts";
import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

let patient: Patient;

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
}, 90_000);

afterAll(() => patient.closeSessions());

async function planOne(): Promise<CancelPlan> {
  const planned = await until(async () => {
    const result = await cancelQueries.plan({ olderThanSeconds: 1, atMost: 20 }, contextFor(patient.target));
    return result.status === "planned" && result.plan.queries.length === 1 && result;
  });
  return planned.plan;
}

test("a planned session that runs another query by now is reported gone, and nothing is cancelled", async () => {
  const session = await patient.session();
  const first = session.start("SELECT pg_sleep(600)");
  const plan = await planOne();
  await patient.admin("SELECT pg_cancel_backend($1)", [session.pid]);
  await until(() => first.state === "57014");
  // The very same text: only the time at which it began tells the two apart.
  const second = session.start("SELECT pg_sleep(600)");
  // It is old enough to be cancelled too, so that only the plan protects it.
  const again = await planOne();
  expect(again.queries[0]?.pid).toBe(session.pid);
  expect(again).not.toEqual(plan);

  const outcome = await cancelQueries.apply(plan, contextFor(patient.target));

  expect(outcome).toEqual({ status: "done", result: { cancelled: [], gone: [session.pid], stillRunning: [] } });
  expect(second.state).toBe("running");
  expect(await planOne()).toEqual(again);
});

test("a planned pid that belongs to another session by now is reported gone", async () => {
  const session = await patient.session();
  const running = session.start("SELECT pg_sleep(600)");
  const { queries } = await until(async () => {
    const result = await cancelQueries.plan({ olderThanSeconds: 1, atMost: 20 }, contextFor(patient.target));
    const mine = result.status === "planned" && result.plan.queries.filter(({ pid }) => pid === session.pid);
    return mine && mine.length === 1 && { queries: mine };
  });
  const [query] = queries;
  if (!query) throw new Error("nothing was planned");
  // As if the pid had been given to a new session: the same number and query time, another start.
  const stale = { queries: [{ ...query, backendStart: query.backendStart.replace(/\d{6}Z$/, "000000Z") }] };

  const outcome = await cancelQueries.apply(stale, contextFor(patient.target));

  expect(outcome).toMatchObject({ status: "done", result: { cancelled: [], gone: [session.pid] } });
  expect(running.state).toBe("running");
});
