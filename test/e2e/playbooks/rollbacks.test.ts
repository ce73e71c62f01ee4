/**
 * The rollbacks that engineers ask for: the code to the version before, an app to an earlier migration, the database to a
 * backup. Two people agree, people are told before, and whatever fails stops with the way back.
 */

import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunView } from "../../../src/api/run-view.ts";
import { createRepository, type Repository } from "../../actions/deploy/repository.ts";
import { debianBinDir, debianPostgres, startDebianPostgres } from "../../actions/postgres/debian-postgres.ts";
import { query } from "../../support/postgres.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

const both = ["U0LEAD", "U0DEPUTY"];

/** Holds that people were told for the lead time, in Slack and on the status page, before the first change, and at its end. */
async function expectAnnounced({ callers, statusPage }: Stack, run: RunView): Promise<void> {
  const at = (type: string) => run.events.findIndex((event) => event.type === type);
  const announcing = run.events[at("announcing")] as { readonly at: string; readonly notBefore: string };
  expect(Date.parse(announcing.notBefore) - Date.parse(announcing.at)).toBeGreaterThan(900);
  const started = run.events[at("step-started")];
  expect(Date.parse(started?.at ?? "")).toBeGreaterThanOrEqual(Date.parse(announcing.notBefore));
  const told = run.events.slice(at("announcing"), at("step-started")).filter(({ type }) => type === "told");
  expect(told.length).toBeGreaterThanOrEqual(2);
  const lines = callers.slack.messages().filter((one) => JSON.stringify(one.blocks).includes(run.id));
  const line = lines.find(({ text }) => /^(About to change|Changes|Changed) youtility3/.test(text));
  await until(() => line && callers.slack.thread(line).length > 0, { what: "the closing line in Slack" });
  const shown = statusPage.entries.find(({ metadata }) => JSON.stringify(metadata).includes(run.id));
  expect(shown?.updates[0]?.body).toContain(`is about to be made, not before ${announcing.notBefore}`);
  await until(() => shown?.status === "resolved", { what: "the end on the status page" });
}

stackServices.describe("code-rollback", () => {
  let stack: Stack;
  let repository: Repository;
  let installer: string;

  /** v3 cannot be left while a ticket is there that its migration needs; v1 cannot be served. */
  const migration = `from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [("core", "0003_ticket_status_priority")]
    operations = [migrations.RunSQL("SELECT 1", """DO $$ BEGIN
        IF EXISTS (SELECT FROM core_ticket WHERE title = 'needed') THEN RAISE EXCEPTION 'a ticket needs this'; END IF;
    END $$""")]
`;
  const pages = "youtility3/wsgi.py";

  beforeAll(async () => {
    installer = join(await temporaryFolder("installer"), "install.sh");
    await installerThat("cat requirements.txt > installed.done");
    stack = await startStack({
      playbook: "code-rollback",
      adapt: (target) => ({ ...target, deploy: { ...target.deploy, dependencies: [installer] } }),
      prepare: async (yt3) => {
        repository = await createRepository(yt3.folder);
        const works = await readFile(join(yt3.folder, pages), "utf8");
        const hidden = { ".gitignore": "*.done\n__pycache__\n", "requirements.txt": "shop==1" };
        await repository.commit("one", { ...hidden, [pages]: "raise RuntimeError('version 1')" }, "v1");
        await repository.commit("two", { [pages]: works }, "v2");
        const newer = { "apps/core/migrations/0004_needs_ticket.py": migration, "requirements.txt": "shop==2" };
        await repository.commit("three", newer, "v3");
        await yt3.manage("migrate", "--verbosity=0");
      },
    });
    await stack.sql("UPDATE core_ticket SET title = 'needed' WHERE id = (SELECT min(id) FROM core_ticket)");
  });
  afterAll(() => stack?.stop());

  async function installerThat(does: string): Promise<void> {
    await writeFile(installer, `#!/bin/sh\n${does}\n`);
    await chmod(installer, 0o755);
  }
  const tag = () => repository.git("describe", "--tags", "--always");
  const units = ["youtility3.service", "nginx.service"];
  const started = () => Promise.all(units.map((unit) => stack.systemd.show(unit, "InvocationID")));
  const newest = async () =>
    (await stack.sql("SELECT max(name) AS name FROM django_migrations WHERE app = 'core'"))[0]?.["name"];
  async function rolledBack(inputs: { readonly tag?: string } = {}): Promise<RunView> {
    const run = await stack.request(inputs);
    await stack.approve(run, both);
    return await stack.ended(run);
  }

  test("one of two who agrees is not enough, and nothing is announced or changed where the other declines", async () => {
    const run = await stack.request({});
    await stack.approve(run, ["U0LEAD"]);
    await stack.callers.slack.command(`decline ${run} not today`, { user: "U0DEPUTY" });
    expect(await stack.ended(run)).toMatchObject({ outcome: "declined", reason: expect.stringContaining("not today") });
    expect([await tag(), await newest(), stack.statusPage.entries.length]).toEqual(["v3", "0004_needs_ticket", 0]);
  });

  test("a migration that cannot be taken back stops it before anything else", async () => {
    const before = await started();
    const ended = await rolledBack();
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("a ticket needs this") });
    expect([await tag(), await newest(), await started()]).toEqual(["v3", "0004_needs_ticket", before]);
    expect(before.every((id) => id !== "")).toBe(true);
    await stack.sql("UPDATE core_ticket SET title = 'not needed' WHERE title = 'needed'");
  });

  test("a requirement that cannot be installed stops it there, with the way back, and nothing is restarted", async () => {
    const before = await started();
    await installerThat("echo 'ERROR: No matching distribution found for shop==1' >&2; exit 1");
    const { outcome, reason } = await rolledBack();
    expect(outcome).toBe("failed");
    expect(reason).toContain("stopped at the dependencies");
    expect(reason).toContain("No matching distribution found for shop==1");
    expect(reason).toContain(
      `The way back: git -C ${stack.yt3.folder} checkout main; ${installer}; manage.py migrate core 0004_needs_ticket.`,
    );
    expect([await tag(), await newest(), await started()]).toEqual(["v2", "0003_ticket_status_priority", before]);
  });

  test("two people take the code back, told before it is and when it is done, from where it had stopped", async () => {
    const before = await started();
    await installerThat("cat requirements.txt > installed.done");
    const ended = await rolledBack();
    expect(ended).toMatchObject({ outcome: "fixed" });
    expect(resultOf(ended, "previous")).toMatchObject({ tag: "v2", unapplied: ["core.0004_needs_ticket"] });
    expect(await readFile(join(stack.yt3.folder, "installed.done"), "utf8")).toBe("shop==1");
    const after = await started();
    for (const [index, id] of before.entries()) expect(after[index]).not.toBe(id);
    expect(await stack.systemd.show("nginx.service", "ActiveState")).toBe("active");
    expect((await stack.get("/monitoring/health/")).body).toMatchObject({ healthy: true });
    await expectAnnounced(stack, ended);
  });

  test("what was done by hand meanwhile refuses it", async () => {
    await writeFile(join(stack.yt3.folder, "requirements.txt"), "by hand");
    expect(await stack.ended(await stack.request({ tag: "v1" }))).toMatchObject({
      outcome: "failed",
      reason: expect.stringContaining("requirements.txt"),
    });
    expect(await tag()).toBe("v2");
    await repository.git("checkout", "--", "requirements.txt");
  });

  test("a version that does not stay up is told with the way back, and going that way heals it", async () => {
    const ended = await rolledBack({ tag: "v1" });
    expect(ended.outcome).toBe("failed");
    expect(ended.reason).toContain("stopped at the restart of youtility3.service");
    const [, back = ""] =
      /The way back: git -C \S+ (checkout \S+); empty the cache default; systemctl restart youtility3/.exec(
        ended.reason ?? "",
      ) ?? [];
    expect(await tag()).toBe("v1");
    await repository.git(...back.split(" "));
    expect(await tag()).toBe("v2");
    await until(async () => (await stack.get("/monitoring/health/").catch(() => null))?.body.healthy, {
      timeoutMs: 30_000,
      what: "the application to be served again",
    });
  });
});

/** The application's database is on Debian's server, since a backup takes a pg_dump that is no older than the server. */
const backups = debianPostgres.available ? stackServices : debianPostgres;

backups.describe("database-rollback", () => {
  let server: Awaited<ReturnType<typeof startDebianPostgres>>;
  let stack: Stack;
  let folder: string;
  beforeAll(async () => {
    server = await startDebianPostgres();
    folder = await temporaryFolder("backups");
    stack = await startStack({
      playbook: "database-rollback",
      others: ["weekly-maintenance"],
      postgres: server,
      adapt: (target) => {
        const whenever = { maintenance: ["daily 00:00-24:00 UTC"], binDir: debianBinDir, backupFolder: folder };
        return { ...target, postgres: { ...target.postgres, ...whenever } };
      },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await server?.stop();
  });

  const titles = async (): Promise<string[]> =>
    (await stack.get("/tickets/")).body.tickets.map(({ title }: { title: string }) => title);
  const newest = async () =>
    (await stack.sql("SELECT max(name) AS name FROM django_migrations WHERE app = 'core'"))[0]?.["name"];
  const oid = async () =>
    (await stack.patient.admin("SELECT oid FROM pg_database WHERE datname = $1", [stack.patient.database]))[0]?.["oid"];

  /** By the product's own means: Sunday's work, of which the backup is the first step. */
  async function backUp(): Promise<string> {
    const ended = await stack.ended(await stack.request({}, "weekly-maintenance"));
    expect(ended).toMatchObject({ outcome: "fixed" });
    return resultOf(ended, "backup").backup;
  }

  test("an app goes back to a named migration once two people agree, and stays where one of them declines", async () => {
    const declined = await stack.request({ app: "core", migration: "0002" });
    await stack.approve(declined, ["U0LEAD"]);
    await stack.callers.slack.command(`decline ${declined} not now`, { user: "U0DEPUTY" });
    expect(await stack.ended(declined)).toMatchObject({ outcome: "declined" });
    expect([await newest(), stack.statusPage.entries.length]).toEqual(["0003_ticket_status_priority", 0]);
    const run = await stack.request({ app: "core", migration: "0002" });
    await stack.approve(run, both);
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "fixed" });
    expect(await newest()).toBe("0002_ticket_priority");
    await expectAnnounced(stack, ended);
    await stack.yt3.manage("migrate", "--verbosity=0");
  });

  test("a backup that is not there, or no longer what was written, asks nobody and changes nothing", async () => {
    const backup = await backUp();
    const before = await oid();
    const spoilt = "spoilt-0001";
    const archive = await readFile(join(folder, `${backup}.dump`));
    archive[archive.length - 1] = (archive.at(-1) ?? 0) ^ 1;
    await writeFile(join(folder, `${spoilt}.dump`), archive);
    await copyFile(join(folder, `${backup}.json`), join(folder, `${spoilt}.json`));
    for (const [name, why] of [
      ["nothing-0001", "There is no whole backup nothing-0001"],
      [spoilt, "is not as it was written"],
    ] as const) {
      const ended = await stack.ended(await stack.request({ backup: name }));
      expect(ended).toMatchObject({ outcome: "failed", approvals: [], reason: expect.stringContaining(why) });
    }
    expect(await oid()).toBe(before);
  });

  test("two people bring back what was there at the backup; the application's sessions end, the old database is kept", async () => {
    const [old, backup] = [await titles(), await backUp()];
    expect(old.length).toBeGreaterThan(10);
    await stack.sql("UPDATE core_ticket SET title = 'damaged'");
    await stack.sql("UPDATE core_location SET name = 'damaged'");
    const [root] = await stack.sql("SELECT min(parent_id)::int AS id FROM core_location");
    const tree = async () => JSON.stringify((await stack.get(`/tree/${root?.["id"]}/`)).body);
    expect([new Set(await titles()), await tree()]).toEqual([new Set(["damaged"]), expect.stringContaining("damaged")]);
    const pooled = await stack.patient.session();
    const before = await oid();

    const run = await stack.request({ backup });
    // What is asked for is the swap only: it is restored and checked by then, beside what is still in use.
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve swap on youtility3\?\n/);
    expect(text).toMatch(
      new RegExp(`• use the database \\S+_restore_\\w+, restored and checked before, from the backup ${backup} `),
    );
    const beside = resultOf(await stack.service.run(run), "restore");
    expect(beside).toMatchObject({ swapped: false, tables: expect.any(Number) });
    const there = await query(stack.patient.urlOf("postgres", beside.database), "SELECT title FROM core_ticket");
    expect(there.map(({ title }) => title)).not.toContain("damaged");
    expect([await oid(), new Set(await titles())]).toEqual([before, new Set(["damaged"])]);
    await pooled.client.query("SELECT 1");
    await stack.approve(run, ["U0LEAD"]);
    await until(async () => (await stack.service.run(run)).approvals[0]?.decisions.length === 1, {
      what: "the first approval",
    });
    expect([await oid(), new Set(await titles())]).toEqual([before, new Set(["damaged"])]);
    await stack.approve(run, ["U0DEPUTY"]);
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "fixed" });

    expect(await titles()).toEqual(old);
    // What was cached of the damage is gone as well.
    expect(await tree()).not.toContain("damaged");
    await expect(pooled.client.query("SELECT 1")).rejects.toThrow();
    const { kept } = resultOf(ended, "swap");
    expect(await stack.patient.admin("SELECT oid, datallowconn FROM pg_database WHERE datname = $1", [kept])).toEqual([
      { oid: before, datallowconn: false },
    ]);
    await stack.patient.admin(`ALTER DATABASE ${kept} ALLOW_CONNECTIONS true`);
    expect(await query(stack.patient.urlOf("postgres", kept), "SELECT DISTINCT title FROM core_ticket")).toEqual([
      { title: "damaged" },
    ]);
    await expectAnnounced(stack, ended);
  });

  test("where one of the two declines, the database stays as it was, with what was restored beside it for another time", async () => {
    const backup = await backUp();
    await stack.sql("UPDATE core_ticket SET title = 'not damaged' WHERE id = (SELECT min(id) FROM core_ticket)");
    const [before, old, pooled] = [await oid(), await titles(), await stack.patient.session()];
    const run = await stack.request({ backup });
    await stack.approve(run, ["U0LEAD"]);
    await stack.callers.slack.command(`decline ${run} look at it first`, { user: "U0DEPUTY" });
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "declined", reason: expect.stringContaining("look at it first") });
    expect(ended.steps.map(({ id, state }) => [id, state])).toEqual([
      ["activity", "observed"],
      ["migrate", "skipped"],
      ["restore", "done"],
      ["swap", "declined"],
      ["cache", "pending"],
    ]);
    expect([await oid(), await titles()]).toEqual([before, old]);
    await pooled.client.query("SELECT 1");
    await pooled.client.end();
    const { database } = resultOf(ended, "restore");
    expect(await stack.patient.admin("SELECT FROM pg_database WHERE datname = $1", [database])).toHaveLength(1);
  });

  test("while somebody is there whom Paramedic may not end nothing is swapped; asked again it is, from what is ready", async () => {
    const backup = await backUp();
    await stack.sql("UPDATE core_ticket SET title = 'damaged'");
    const other = await stack.patient.session({ connectionString: stack.patient.urlOf("postgres") });
    const before = await oid();
    const first = await stack.request({ backup });
    await stack.approve(first, both);
    expect(await stack.ended(first)).toMatchObject({
      outcome: "failed",
      reason: expect.stringContaining(`whom Paramedic may not end uses ${stack.patient.database} (pid ${other.pid})`),
    });
    expect([await oid(), new Set(await titles())]).toEqual([before, new Set(["damaged"])]);
    await stack.patient.closeSessions();
    const second = await stack.request({ backup });
    await stack.approve(second, both);
    expect(await stack.ended(second)).toMatchObject({ outcome: "fixed" });
    expect(new Set(await titles())).not.toContain("damaged");
  });
});
