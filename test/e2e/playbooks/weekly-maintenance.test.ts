/**
 * Sunday's work, by its schedule and by request: the backup first, then dead rows, a bloated table's indexes and old metrics;
 * without the backup nothing of it, and nothing at all outside of the maintenance window.
 */

import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { debianBinDir, debianPostgres, startDebianPostgres } from "../../actions/postgres/debian-postgres.ts";
import { mailsTo } from "../../support/callers.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { tokens } from "../../support/service.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, type StackOptions, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(240_000);

/** The application's database is on Debian's server, since a backup takes a pg_dump that is no older than the server. */
const services = debianPostgres.available ? stackServices : debianPostgres;

let server: Awaited<ReturnType<typeof startDebianPostgres>>;
beforeAll(async () => {
  if (services.available) server = await startDebianPostgres();
});
afterAll(() => server?.stop());

async function startSunday(window: string, backupFolder: string): Promise<Stack> {
  const adapt: StackOptions["adapt"] = (target) => ({
    ...target,
    postgres: { ...target.postgres, maintenance: [window], backupFolder, binDir: debianBinDir },
  });
  // Bloat of a size that a test can make.
  const bloat = ["deadRows > 10000", "deadRows > 5000"] as const;
  const stack = await startStack({ playbook: "weekly-maintenance", postgres: server, adapt, hurry: [bloat] });
  await stack.sql("ALTER TABLE core_ticket SET (autovacuum_enabled = off)");
  return stack;
}

async function age(stack: Stack): Promise<void> {
  await stack.sql(
    `INSERT INTO core_ticket (location_id, title, status, priority, opened_at)
     SELECT (SELECT max(id) FROM core_location), 'ticket ' || n, 'open', 1, now() FROM generate_series(1, 20000) n`,
  );
  await stack.sql("DELETE FROM core_ticket WHERE id % 10 > 0");
  await stack.yt3.manage("age_metrics", "--hours=1000", "--count=100");
  await until(async () => (await dead(stack)) > 15_000, { what: "the dead rows to be counted" });
}

async function dead(stack: Stack): Promise<number> {
  const [row] = await stack.sql("SELECT n_dead_tup::int AS rows FROM pg_stat_all_tables WHERE relname = 'core_ticket'");
  return row?.["rows"] as number;
}

const archived = async (stack: Stack) =>
  (await stack.sql("SELECT count(*)::int AS rows FROM monitoring_archivedmetric"))[0]?.["rows"];

/** Tells that a run was handed over to the people of the database. */
async function expectHandedOver({ callers }: Stack, run: string): Promise<void> {
  const mails = () => mailsTo(callers, "dba-team@youtility.com");
  await until(() => mails().some((mail) => mail.includes(run)), { what: "a mail" });
}

services.describe("weekly-maintenance", () => {
  let stack: Stack;
  let folder: string;
  beforeAll(async () => {
    folder = await temporaryFolder("backups");
    stack = await startSunday("daily 00:00-24:00 UTC", folder);
  });
  afterAll(() => stack?.stop());

  test("by its schedule all of it is done in order, announced before, and nobody is asked", async () => {
    await age(stack);
    const ended = await stack.ended(await stack.scheduled());
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    const { due } = ended.trigger as { due?: string };
    expect([new Date(due ?? "").getUTCDay(), due?.slice(11)]).toEqual([0, "03:00:00.000Z"]);
    expect(ended.steps.map(({ id, state }) => [id, state])).toEqual([
      ["backup", "done"],
      ["before", "observed"],
      ["vacuum", "done"],
      ["reindex", "done"],
      ["archive", "done"],
    ]);
    expect(existsSync(join(folder, `${resultOf(ended, "backup").backup}.dump`))).toBe(true);
    expect(await dead(stack)).toBe(0);
    expect(resultOf(ended, "reindex").rebuilt.length).toBeGreaterThan(1);
    expect(await archived(stack)).toBe(100);
    expect(stack.statusPage.entries).toHaveLength(1);
    const at = (type: string) => ended.events.findIndex((event) => event.type === type);
    const announcing = ended.events[at("announcing")] as { readonly notBefore?: string };
    expect(Date.parse(ended.events[at("step-started")]?.at ?? "")).toBeGreaterThanOrEqual(
      Date.parse(announcing.notBefore ?? ""),
    );
  });

  test("where there is no backup nothing else is done, and the database's people are told", async () => {
    // What cannot be read cannot be backed up.
    await stack.sql("CREATE TABLE of_somebody_else (id int)");
    await age(stack);
    const before = await archived(stack);
    const ended = await stack.ended(await stack.request({}));
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("pg_dump") });
    expect(ended.steps.slice(1).map(({ state }) => state)).toEqual(["pending", "pending", "pending", "pending"]);
    expect([await archived(stack), (await dead(stack)) > 15_000]).toEqual([before, true]);
    expect(readdirSync(folder).filter((name) => name.endsWith(".dump"))).toHaveLength(1);
    await expectHandedOver(stack, ended.id);
  });

  test("where the folder for backups is gone nothing is done either", async () => {
    await rm(folder, { recursive: true });
    const ended = await stack.ended(await stack.request({}));
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining(`${folder} is no folder`) });
    expect(await dead(stack)).toBeGreaterThan(15_000);
  });
});

services.describe("weekly-maintenance outside of the maintenance window", () => {
  let stack: Stack;
  let folder: string;
  // As long as it may take, this day does not come.
  const window = `${new Date(Date.now() + 3 * 86_400_000).toLocaleDateString("en-US", { weekday: "short", timeZone: "UTC" })} 02:00-05:00 UTC`;
  beforeAll(async () => {
    folder = await temporaryFolder("backups");
    stack = await startSunday(window, folder);
  });
  afterAll(() => stack?.stop());

  test("who asks is refused with the windows; what would be done can be seen at any time", async () => {
    const asked = { playbook: "weekly-maintenance", inputs: {}, reason: "a test" };
    const { status, body } = await stack.service.api("POST", "/api/v1/runs", asked, tokens.operator);
    expect([status, JSON.stringify(body)]).toEqual([
      422,
      expect.stringContaining(`no maintenance window is open (${window})`),
    ]);
    const dry = await stack.service.api("POST", "/api/v1/runs", { ...asked, dryRun: true }, tokens.operator);
    const ended = await stack.ended(dry.body.id);
    expect(ended.steps[0]?.effects[0]).toContain("write a backup of");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a run of the schedule changes nothing, announces nothing, and is handed over", async () => {
    const ended = await stack.ended(await stack.scheduled());
    expect(ended).toMatchObject({ outcome: "refused", reason: expect.stringContaining(window) });
    expect(ended.steps.map(({ state }) => state)).toEqual(["planned", "pending", "pending", "pending", "pending"]);
    expect([readdirSync(folder), stack.statusPage.entries]).toEqual([[], []]);
    await expectHandedOver(stack, ended.id);
  });
});
