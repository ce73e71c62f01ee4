import { type CancelPlan, cancelQueries } from "../../../src/actions/postgres/cancel-queries.ts";
import type { Planned } from "../../../src/domain/action.ts";
import type { PostgresTarget } from "../../../src/domain/target.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { bareTarget, canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { heldByStopped } from "./held.ts";
import { createPatient, type Patient, type Running } from "./patient.ts";

let patient: Patient;
let sleeping: Running[] = [];

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
}, 90_000);

afterEach(async () => {
  await patient.closeSessions();
  sleeping = [];
});

const input = { olderThanSeconds: 1, atMost: 20 };

async function plan(overrides: Partial<typeof input> = {}, target = patient.target, lines: string[] = []) {
  return cancelQueries.plan({ ...input, ...overrides }, contextFor(target, undefined, lines));
}

/** Waits until so many queries are old enough to be planned. */
async function planOf(count: number): Promise<Extract<Planned<CancelPlan>, { status: "planned" }>> {
  return until(
    async () => {
      const planned = await plan();
      return planned.status === "planned" && planned.plan.queries.length === count && planned;
    },
    { what: `${count} queries to be planned` },
  );
}

async function sleepers(...statements: string[]) {
  const sessions = [];
  for (const sql of statements) {
    const session = await patient.session({ application_name: "web" });
    sleeping.push(session.start(sql));
    sessions.push(session);
  }
  return sessions;
}

describeContract("postgres.cancel-queries", {
  input: { olderThanSeconds: 1 },
  hostile: [
    {},
    null,
    { olderThanSeconds: 0 },
    { olderThanSeconds: "300" },
    { olderThanSeconds: "1; DROP TABLE t" },
    { olderThanSeconds: 1.5 },
    { olderThanSeconds: Number.NaN },
    { olderThanSeconds: Number.POSITIVE_INFINITY },
    { olderThanSeconds: 300, atMost: 0 },
    { olderThanSeconds: 300, atMost: 1_001 },
    { olderThanSeconds: 300, atMost: null },
    { olderThanSeconds: 300, users: ["postgres"] },
    JSON.parse('{"olderThanSeconds": 300, "__proto__": {"atMost": 1}}'),
  ],
  healthy: () => ({ action: cancelQueries, target: patient.target }),
  at: (port) => ({ action: cancelQueries, target: patient.at(port) }),
  arrange: async () => {
    if (sleeping.some(({ state }) => state === "running")) return;
    await sleepers(`SELECT pg_sleep(600), '${canary}'`);
    await planOf(1);
  },
  state: async () => sleeping.map(({ state }) => state),
  midway: {
    hold: async () => {
      const running = "SELECT pid FROM pg_stat_activity WHERE usename = $1 AND state = 'active'";
      const pids = (await patient.admin(running, [patient.app])).map((row) => Number(row["pid"]));
      return heldByStopped(patient, pids, "SELECT pid FROM unnest");
    },
    told: { status: "unknown", reason: expect.stringContaining("was asked for") },
  },
});

describe("planning", () => {
  test("takes the longest-running first, at most as many as asked for, and logs that there are more", async () => {
    const [first] = await sleepers("SELECT pg_sleep(601)");
    await planOf(1);
    await sleepers("SELECT pg_sleep(602)", "SELECT pg_sleep(603)");
    await planOf(3);
    const lines: string[] = [];
    const planned = await plan({ atMost: 1 }, patient.target, lines);
    expect(planned).toMatchObject({ status: "planned", plan: { queries: [{ pid: first?.pid }] } });
    expect(lines.join()).toContain('"matched":3,"planned":1');
  });

  test("binds each query to microseconds as text and to nothing that changes with time", async () => {
    const [session] = await sleepers("SELECT pg_sleep(600)");
    const { plan: made } = await planOf(1);
    const exact = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(made).toEqual({ queries: [{ pid: session?.pid, backendStart: exact, queryStart: exact }] });
  });

  test("gives one readable line for each query, without its literals", async () => {
    const [session] = await sleepers("SELECT pg_sleep(600), 'Jane\nDoe' /* card 4111 */\n -- \u001b[31mred\n AS name");
    const { effects } = await planOf(1);
    expect(effects).toHaveLength(1);
    expect(effects[0]).toMatch(
      new RegExp(
        `^cancel pid ${session?.pid} \\(user ${patient.app}, database ${patient.database}, application web\\), ` +
          "running since \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC: SELECT pg_sleep\\(\\?\\), \\? AS name$",
      ),
    );
  });

  test("finds nothing to do where every query is young", async () => {
    await sleepers("SELECT pg_sleep(600)");
    expect(await plan({ olderThanSeconds: 3_600 })).toEqual({ status: "planned", plan: { queries: [] }, effects: [] });
  });
});

describe("applying", () => {
  beforeAll(async () => {
    const { client } = await patient.session();
    await client.query(`CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LOOP
      BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END;
    END LOOP; END $$`);
  });

  test("cancels what was planned and nothing else, and says so", async () => {
    const [first] = await sleepers("SELECT pg_sleep(600)");
    const { plan: made } = await planOf(1);
    await sleepers("SELECT pg_sleep(601)");
    await planOf(2);
    const outcome = await cancelQueries.apply(made, contextFor(patient.target));
    expect(outcome).toEqual({ status: "done", result: { cancelled: [first?.pid], gone: [], stillRunning: [] } });
    await until(() => sleeping[0]?.state === "57014");
    expect(sleeping[1]?.state).toBe("running");
  });

  test("reports as gone what has ended meanwhile", async () => {
    const [first, second] = await sleepers("SELECT pg_sleep(600)", "SELECT pg_sleep(601)");
    const { plan: made } = await planOf(2);
    await patient.admin("SELECT pg_terminate_backend($1)", [first?.pid]);
    await until(() => sleeping[0]?.state !== "running");
    const outcome = await cancelQueries.apply(made, contextFor(patient.target));
    expect(outcome).toMatchObject({ status: "done", result: { cancelled: [second?.pid], gone: [first?.pid] } });
  });

  test("cancels nothing where the allow-list no longer has the user", async () => {
    const [session] = await sleepers("SELECT pg_sleep(600)");
    const { plan: made } = await planOf(1);
    const other = await patient.role("other");
    const postgres = { ...(patient.target.postgres as PostgresTarget), users: [other] };
    const outcome = await cancelQueries.apply(made, contextFor({ ...patient.target, postgres }));
    expect(outcome).toMatchObject({ status: "done", result: { cancelled: [], gone: [session?.pid] } });
    expect(sleeping[0]?.state).toBe("running");
  });

  test("fails, and is not to be repeated, where a query does not react to the cancel", async () => {
    const [session] = await sleepers("SELECT stubborn()");
    const { plan: made } = await planOf(1);
    const outcome = await cancelQueries.apply(made, contextFor(patient.target));
    expect(outcome).toMatchObject({ status: "failed", retryable: false });
    expect(outcome).toMatchObject({ reason: expect.stringContaining(`(pid ${session?.pid})`) });
  }, 20_000);

  test("stops waiting when it is aborted after the cancel was sent, and does not call that undone", async () => {
    await sleepers("SELECT stubborn()");
    const { plan: made } = await planOf(1);
    const started = performance.now();
    const outcome = await cancelQueries.apply(made, contextFor(patient.target, AbortSignal.timeout(1_000)));
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(["unknown", "failed"]).toContain(outcome.status);
    expect(outcome).not.toMatchObject({ retryable: true });
  });
});

describe("a wrong configuration is refused with what to do", () => {
  const withPostgres = (change: Partial<PostgresTarget>) =>
    plan({}, { ...patient.target, postgres: { ...(patient.target.postgres as PostgresTarget), ...change } });

  test.each<[string, () => ReturnType<typeof plan>, string]>([
    ["no target", () => cancelQueries.plan(input, contextFor(null)), "needs a target"],
    ["no database", () => plan({}, bareTarget), "Add postgres:"],
    ["no users", () => withPostgres({ users: [] }), "allows no user"],
    ["no databases", () => withPostgres({ databases: [] }), "no database"],
    ["a star for all users", () => withPostgres({ users: ["*"] }), "None of the allowed users"],
    ["an unknown database", () => withPostgres({ databases: ["nowhere"] }), "None of the allowed databases"],
    ["no URL", () => withPostgres({ url: "db.example.net" }), "is no postgres:// URL"],
    ["another scheme", () => withPostgres({ url: `http://a:${canary}@127.0.0.1/` }), "is no postgres:// URL"],
    ["a missing TLS file", () => withPostgres({ url: `${patient.urlOf("a")}?sslrootcert=/none` }), "cannot be used"],
    ["an unknown role", () => withPostgres({ url: patient.urlOf("nobody") }), "refused the login"],
    [
      "an unknown database in the URL",
      () => withPostgres({ url: patient.urlOf(patient.healer, "nowhere") }),
      "no such database",
    ],
  ])("%s", async (_name, act, words) => {
    const result = await act();
    expect(result).toMatchObject({ status: "failed", retryable: false });
    expect(JSON.stringify(result)).toContain(words);
    expect(JSON.stringify(result)).not.toContain(canary);
  });

  test("a role that cannot see other roles' sessions", async () => {
    await sleepers("SELECT pg_sleep(600)");
    const blind = await patient.role("blind", "IN ROLE pg_signal_backend");
    expect(await withPostgres({ url: patient.urlOf(blind) })).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining(`GRANT pg_read_all_stats TO "${blind}"`),
    });
  });

  test("a role that may not cancel", async () => {
    const watcher = await patient.role("watcher", "IN ROLE pg_read_all_stats");
    expect(await withPostgres({ url: patient.urlOf(watcher) })).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining(`GRANT pg_signal_backend TO "${watcher}"`),
    });
  });

  test("a role that is the application's own needs neither", async () => {
    expect(await withPostgres({ url: patient.urlOf(patient.app) })).toMatchObject({ status: "planned" });
  });
});
