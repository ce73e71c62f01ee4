/** How long it takes to cancel 200 of 400 sessions by `postgres.cancel-queries`, beside one statement written by hand. */

import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { type CancelPlan, cancelQueries } from "../src/actions/postgres/cancel-queries.ts";
import type { ActionContext } from "../src/domain/action.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { until } from "../test/support/until.ts";
import type { Ground } from "./ground.ts";
import { compare, type Row } from "./row.ts";
import { median } from "./statistics.ts";

const sessions = 400;
const cancelled = 200;
const rounds = 5;

export async function cancel(_: Ground): Promise<readonly Row[]> {
  const postgres = await startPostgres({ settings: { max_connections: "450" } });
  const clients: Client[] = [];
  try {
    const suffix = randomBytes(3).toString("hex");
    const admin = await connected(postgres.url);
    clients.push(admin);
    const roles = ["slow", "fast"].map((name) => `${name}_${suffix}`);
    for (const role of roles) await admin.query(`CREATE ROLE ${role} LOGIN`);
    await admin.query(`CREATE ROLE healer_${suffix} LOGIN IN ROLE pg_read_all_stats, pg_signal_backend`);
    const as = (role: string) => postgres.url.replace("postgres:postgres@", `${role}:x@`);
    const groups = await Promise.all(
      roles.map(async (role) => {
        const group: Client[] = [];
        for (let n = 0; n < sessions / 2; n++) group.push(await connected(as(role)));
        clients.push(...group);
        return group;
      }),
    );
    for (const client of groups[1] ?? []) client.query("SELECT pg_sleep(3600)").catch(() => undefined);
    const work = { admin, slow: groups[0] ?? [], role: roles[0] as string };
    const healer = await connected(as(`healer_${suffix}`));
    clients.push(healer);
    const context = contextFor(as(`healer_${suffix}`), work.role, new URL(postgres.url).pathname.slice(1));
    const byHand: number[] = [];
    const applied: number[] = [];
    const planned: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const hand = await timed(work, async () => () => handWritten(as(`healer_${suffix}`), work.role));
      let planMs = 0;
      const apply = await timed(work, async () => {
        const started = performance.now();
        const plan = await planned200(context);
        planMs = performance.now() - started;
        return () => applyPlan(plan, context);
      });
      if (round === 0) continue;
      byHand.push(hand);
      applied.push(apply);
      planned.push(planMs + apply);
    }
    const what = `cancel ${cancelled} of ${sessions} sessions`;
    const baseline = median(byHand);
    return [
      compare(
        { what: `${what}: apply without its plan, beside one statement`, unit: "ms", ours: median(applied), baseline },
        { atMost: 1.5 },
      ),
      compare({ what: `${what}: plan and apply, beside one statement`, unit: "ms", ours: median(planned), baseline }),
    ];
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    await postgres.stop();
  }
}

interface Work {
  readonly admin: Client;
  readonly slow: readonly Client[];
  readonly role: string;
}

/** From the start of what `prepare` returns until every one of the slow queries has come back to its client as cancelled. */
async function timed({ admin, slow, role }: Work, prepare: () => Promise<() => Promise<void>>): Promise<number> {
  const ends = slow.map((client) =>
    client.query("SELECT pg_sleep(3600)").then(
      () => "done",
      (error) => error.code,
    ),
  );
  const old = `SELECT count(*)::int AS n FROM pg_stat_activity
                WHERE usename = $1 AND state = 'active' AND clock_timestamp() - query_start > interval '1.1 s'`;
  await until(async () => (await admin.query(old, [role])).rows[0].n === cancelled, { timeoutMs: 30_000 });
  const act = await prepare();
  const started = performance.now();
  await act();
  const codes = await Promise.all(ends);
  const milliseconds = performance.now() - started;
  if (codes.some((code) => code !== "57014")) throw new Error(`not every query was cancelled: ${codes.join(" ")}`);
  return milliseconds;
}

/** What an engineer would type, in a session of its own, as the action's. */
async function handWritten(url: string, role: string): Promise<void> {
  const client = await connected(url);
  await client.query(
    `SELECT pid, pg_cancel_backend(pid) FROM pg_stat_activity
      WHERE usename = $1 AND state = 'active' AND now() - query_start > interval '1 second'`,
    [role],
  );
  await client.end();
}

async function planned200(context: ActionContext): Promise<CancelPlan> {
  const planned = await cancelQueries.plan({ olderThanSeconds: 1, atMost: cancelled }, context);
  if (planned.status === "planned" && planned.plan.queries.length === cancelled) return planned.plan;
  throw new Error(`not planned as expected: ${JSON.stringify(planned).slice(0, 300)}`);
}

async function applyPlan(plan: CancelPlan, context: ActionContext): Promise<void> {
  const outcome = await cancelQueries.apply(plan, context);
  if (outcome.status !== "done") throw new Error(JSON.stringify(outcome).slice(0, 300));
}

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

function contextFor(url: string, user: string, database: string): ActionContext {
  const log = () => undefined;
  return {
    target: { name: "bench", host: null, labels: {}, postgres: { url, users: [user], databases: [database] } },
    signal: new AbortController().signal,
    log: { info: log, warn: log },
    now: Date.now,
  };
}
