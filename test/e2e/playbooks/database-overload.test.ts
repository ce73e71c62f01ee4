/** A runaway query is cancelled; where sessions still wait, the database is read-only once somebody agrees, until the alert is over; what that does not help is handed over. */

import { pages } from "../../support/callers.ts";
import { sleep, until } from "../../support/until.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { insist, troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(240_000);

const dba = "dba-team@youtility.com";

const trouble = troubles["database-overload"];

stackServices.describe("database-overload", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "database-overload",
      ...trouble.stack,
      hurry: [...trouble.stack.hurry, ["within: 30s", "within: 10s"]],
    });
  });
  afterAll(() => stack?.stop());

  const pagedFor = (run: string) => pages(stack.callers).filter(({ body }) => JSON.stringify(body).includes(run));
  const readOnly = async () => {
    const set = `SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
      WHERE d.datname = current_database() AND s.setconfig::text LIKE '%read_only%'`;
    return (await stack.sql(set)).length === 1;
  };

  /** Lets go of what is held, also where a test fails. */
  let release = async (): Promise<void> => {};
  afterEach(() => release());

  /** Somebody whom Paramedic may not touch holds the table of tickets; five of the application wait for it, and come back whenever they are sent away. */
  async function held(): Promise<{ release(): Promise<void> }> {
    const holder = await stack.patient.session({ connectionString: stack.patient.urlOf("postgres") });
    await holder.client.query("BEGIN; LOCK TABLE core_ticket");
    let over = false;
    const insisting = Array.from({ length: 5 }, async () => {
      while (!over) {
        const session = await stack.patient.session().catch(() => null);
        await session?.client.query(insist).catch(() => {});
        await session?.client.end().catch(() => {});
        await sleep(50);
      }
    });
    release = async () => {
      if (over) return;
      over = true;
      await holder.client.query("ROLLBACK");
      await Promise.all(insisting);
    };
    return { release };
  }

  test("an alert that comes too late: nothing runs for long, and nothing is cancelled", async () => {
    const short = stack.get("/slow/?seconds=2");
    const ended = await stack.late("DatabaseOverload");
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    expect((await short).status).toBe(200);
    await stack.says(ended.id, "Nothing to do: DatabaseOverload on youtility3");
    expect(await readOnly()).toBe(false);
  });

  test("a page whose query has run for too long fails, and the others go on", async () => {
    const slow = stack.get("/slow/?seconds=100").catch(() => ({ status: 0 }));
    const run = await stack.noticed("DatabaseOverload");
    expect(await stack.ended(run)).toMatchObject({ outcome: "fixed", approvals: [] });
    expect((await slow).status).toBe(500);
    expect((await stack.get("/tickets/")).status).toBe(200);
    await until(() => pagedFor(run).length > 0, { timeoutMs: 30_000, what: "PagerDuty to be told" });
    await stack.says(run, "Fixed: DatabaseOverload on youtility3");
    await stack.calm();
  });

  test("the application gets no connection any more: that is noticed as well, and handed over", async () => {
    await stack.sql(`ALTER ROLE ${stack.patient.app} CONNECTION LIMIT 0`);
    release = async () => void (await stack.sql(`ALTER ROLE ${stack.patient.app} CONNECTION LIMIT -1`));
    const run = await stack.noticed("DatabaseOverload");
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toContain("(the application does not reach its database)");
    await stack.mailed(run, dba, "hands it over to you");
    await release();
    await stack.calm();
  });

  test("sessions that wait for a lock: read-only while it lasts, and writable again once it is verified that it is over", async () => {
    await trouble.cause(stack);
    const run = await stack.noticed("DatabaseOverload");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("fixed");
    expect(ended.steps.find(({ id }) => id === "readOnly")?.state).toBe("done");
    // Not the end of the alert lifts it, but the end of the run.
    expect(ended.events.find(({ type }) => type === "mitigation-began")).toMatchObject({
      onResolved: false,
      onEnd: ["verified"],
    });
    await until(async () => !(await readOnly()), { timeoutMs: 60_000, what: "the database to be writable again" });
    const reverted = async () =>
      (await stack.service.api("GET", "/api/v1/mitigations?state=reverted")).body.mitigations;
    expect(await until(async () => (await reverted())[0], { what: "the mitigation to be over" })).toMatchObject({
      runId: run,
    });
    await stack.calm();
  });

  test("somebody declines: the database stays writable, and the question says who waits for whom", async () => {
    const tickets = await held();
    const run = await stack.noticed("DatabaseOverload");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve readOnly on youtility3\?\nDatabaseOverload, critical, /);
    expect(text).toMatch(/\n• \d+ queries run, the longest for \d+ s; \d sessions wait for a lock; /);
    expect(text).toMatch(/\n• then: \d sessions wait for a lock, held by pid \d+ \(idle in transaction\); /);
    expect(text).toMatch(
      /\n• reads take [\d.]+ % of the time: a replica with DATABASE_ROUTERS would (not )?help; [\d.]+ % of all time goes to /,
    );
    await stack.decline(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("declined");
    await stack.says(run, "*Declined* by <@U0LEAD>");
    expect(await readOnly()).toBe(false);
    await stack.mailed(run, dba, "a replica with DATABASE_ROUTERS would");
    await tickets.release();
    await stack.calm();
  });

  test("read-only that does not help is handed over, and lifted once that has recovered", async () => {
    const tickets = await held();
    const run = await stack.noticed("DatabaseOverload");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("ineffective");
    expect(ended.reason).toMatch(/\(\d+ queries run, the longest for \d+ s; \d sessions wait for a lock; .*\)$/);
    await stack.says(run, "Needs you: database-overload on youtility3");
    await stack.mailed(run, dba, "hands it over to you");
    expect(await readOnly()).toBe(true);
    expect(ended.steps.find(({ id }) => id === "readOnly")?.state).toBe("done");
    expect(ended.events.map(({ type }) => type)).toContain("mitigation-began");
    await tickets.release();
    await until(async () => !(await readOnly()), { timeoutMs: 60_000, what: "the database to be writable again" });
    await stack.calm();
  });
});
