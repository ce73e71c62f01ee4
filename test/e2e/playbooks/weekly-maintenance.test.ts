/**
 * Sunday's work: dead rows, a bloated table's indexes and old metrics; without the backup nothing of it. The backup itself
 * needs a pg_dump of the server's version, and is held by the tests of its action.
 */

import { mailsTo } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(240_000);

/** Bloat of a size that a test can make. */
const bloat = ["deadRows > 10000", "deadRows > 5000"] as const;
const withoutBackup = ["do: postgres.backup", "do: postgres.activity"] as const;

async function startSunday(hurry: readonly (readonly [string, string])[]): Promise<Stack> {
  const stack = await startStack({ playbook: "weekly-maintenance", hurry });
  await stack.sql("ALTER TABLE core_ticket SET (autovacuum_enabled = off)");
  await stack.sql(
    `INSERT INTO core_ticket (location_id, title, status, priority, opened_at)
     SELECT (SELECT max(id) FROM core_location), 'ticket ' || n, 'open', 1, now() FROM generate_series(1, 20000) n`,
  );
  await stack.sql("DELETE FROM core_ticket WHERE id % 10 > 0");
  await stack.yt3.manage("age_metrics", "--hours=1000", "--count=100");
  await until(async () => (await dead(stack)) > 15_000, { what: "the dead rows to be counted" });
  return stack;
}

async function dead(stack: Stack): Promise<number> {
  const [row] = await stack.sql("SELECT n_dead_tup::int AS rows FROM pg_stat_all_tables WHERE relname = 'core_ticket'");
  return row?.["rows"] as number;
}

const archived = async (stack: Stack) =>
  (await stack.sql("SELECT count(*)::int AS rows FROM monitoring_archivedmetric"))[0]?.["rows"];

stackServices.describe("weekly-maintenance", () => {
  let stack: Stack | undefined;
  afterEach(() => stack?.stop());

  test("all of it is done in order, announced, and nobody is asked", async () => {
    stack = await startSunday([bloat, withoutBackup]);
    const ended = await stack.ended(await stack.request({}));
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect(ended.steps.slice(1).map(({ id, state }) => [id, state])).toEqual([
      ["before", "observed"],
      ["vacuum", "done"],
      ["reindex", "done"],
      ["archive", "done"],
    ]);
    expect(await dead(stack)).toBe(0);
    expect(resultOf(ended, "reindex").rebuilt.length).toBeGreaterThan(1);
    expect(await archived(stack)).toBe(100);
    expect(stack.statusPage.entries).toHaveLength(1);
  });

  test("where there is no backup nothing else is done, and the database's people are told", async () => {
    stack = await startSunday([bloat]);
    // What cannot be read cannot be backed up.
    await stack.sql("CREATE TABLE of_somebody_else (id int)");
    const { callers } = stack;
    const ended = await stack.ended(await stack.request({}));
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("pg_dump") });
    expect(ended.steps.slice(1).map(({ state }) => state)).toEqual(["pending", "pending", "pending", "pending"]);
    expect([await archived(stack), (await dead(stack)) > 15_000]).toEqual([0, true]);
    await until(() => mailsTo(callers, "dba-team@youtility.com").some((mail) => mail.includes(ended.id)), {
      what: "a mail",
    });
  });
});
