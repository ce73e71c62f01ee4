/** Row 67: with a disk nearly full, a replica behind or an old transaction open, maintenance is refused before it begins. */

import { execFileSync } from "node:child_process";
import { chown } from "node:fs/promises";
import { analyze } from "../../src/actions/postgres/analyze.ts";
import { backup } from "../../src/actions/postgres/backup.ts";
import { withClient } from "../../src/actions/postgres/connect.ts";
import { createIndex } from "../../src/actions/postgres/create-index.ts";
import { headroomFor } from "../../src/actions/postgres/headroom.ts";
import { reindex } from "../../src/actions/postgres/reindex.ts";
import { restore } from "../../src/actions/postgres/restore.ts";
import { vacuum } from "../../src/actions/postgres/vacuum.ts";
import { parseMaintenanceWindow } from "../../src/domain/maintenance-window.ts";
import type { Target } from "../../src/domain/target.ts";
import { chooseServerUser } from "../../src/store/embedded-user.ts";
import { contextFor } from "../actions/context.ts";
import {
  type DebianServer,
  debianBinDir,
  debianPostgres,
  startDebianPostgres,
} from "../actions/postgres/debian-postgres.ts";
import { carriedOut, createShop, planOf, type Shop } from "../actions/postgres/shop.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { serviceUnless } from "../support/real-service.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { until } from "../support/until.ts";

const mounting = serviceUnless(
  mayMount() ? null : "A tablespace of its own size needs the right to mount one. Run the tests as root.",
);

let server: TestPostgres;
let shop: Shop;

beforeAll(async () => {
  server = await startPostgres();
  shop = await createShop(server);
}, 90_000);

afterEach(() => shop.closeSessions());
afterAll(() => server.stop());

const rebuild = (more = {}) => planOf(reindex, { table: "item" }, shop.targetWith(more));
const refusal = (words: string, retryable: boolean) => ({
  status: "failed",
  retryable,
  reason: expect.stringContaining(words),
});

test("a disk that is nearly full: every action that writes a copy refuses, and says what must stay free", async () => {
  const full = { dataFolder: "/", minFreeMiB: 1_048_576 };
  const always = parseMaintenanceWindow("daily 00:00-24:00 UTC");
  const refused = refusal("must stay free (postgres.minFreeMiB)", false);
  expect(await rebuild(full)).toMatchObject(refused);
  expect(await planOf(createIndex, { table: "item", columns: ["kind"] }, shop.targetWith(full))).toMatchObject(refused);
  const rewrite = { tables: ["item"], full: true };
  const target = shop.targetWith({ ...full, maintenance: always ? [always] : [] });
  expect(await planOf(vacuum, rewrite, target)).toMatchObject(refused);
});

test("room is looked for again when the plan is applied", async () => {
  const planned = await rebuild({ dataFolder: "/", minFreeMiB: 0 });
  if (planned.status !== "planned") throw new Error(planned.reason);
  expect(planned.effects.every((effect) => effect.startsWith("rebuild "))).toBe(true);
  const full = shop.targetWith({ dataFolder: "/", minFreeMiB: 1_048_576 });
  expect(await reindex.apply(planned.plan, contextFor(full))).toMatchObject(refusal("must stay free", false));
});

mounting.describe("with file systems of their own", () => {
  test("a tablespace that is nearly full counts, however much is free beside it", async () => {
    const folder = await temporaryFolder("tablespace");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]);
    try {
      const user = await chooseServerUser(folder);
      if (user) await chown(folder, user.uid, user.gid);
      await shop.admin(`CREATE TABLESPACE small LOCATION '${folder}'`);
      await shop.sql(`GRANT CREATE ON TABLESPACE small TO ${shop.app}`);
      await shop.asApp("CREATE TABLE crowd TABLESPACE small AS SELECT n FROM generate_series(1, 100000) n");
      await shop.asApp("CREATE INDEX crowd_n ON crowd (n) TABLESPACE small");
      const target = shop.targetWith({ dataFolder: "/", minFreeMiB: 1 });
      expect(await planOf(reindex, { table: "item" }, target)).toMatchObject({ status: "planned" });
      const refused = await planOf(reindex, { table: "crowd" }, target);
      expect(refused).toMatchObject(refusal(`are free at ${folder}`, false));
    } finally {
      await shop.asApp("DROP TABLE IF EXISTS crowd");
      await shop.admin("DROP TABLESPACE IF EXISTS small");
      execFileSync("umount", ["-l", folder]);
    }
  });
});

test("a data folder that is not on this host is said to be so", async () => {
  expect(await rebuild({ dataFolder: "/nowhere/at/all" })).toMatchObject(refusal("postgres.dataFolder", false));
});

test("a transaction that has been open too long is not waited for, unless nothing has to wait", async () => {
  const { client, pid } = await shop.session();
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
  await client.query("SELECT count(*) FROM sale");
  const need = { bytes: 0, relations: [], longestTransactionSeconds: 1 };
  const room = (waitsForTransactions: boolean) =>
    withClient(contextFor(shop.target), (query, postgres) =>
      headroomFor(query, postgres, { ...need, waitsForTransactions }),
    );
  const refused = await until(async () => {
    const found = await room(true);
    return found.status === "failed" && found;
  });
  expect(refused).toMatchObject(refusal(`The transaction of pid ${pid} (user ${shop.app}) has been open for`, true));
  expect(await room(false)).toMatchObject({ status: "enough" });
  await client.query("COMMIT");
  expect(await room(true)).toMatchObject({ status: "enough" });
});

test("a replica that is far behind: refused until it has caught up", async () => {
  const role = await shop.role("streamer", "REPLICATION");
  const session = await shop.session({
    connectionString: shop.urlOf(role),
    application_name: "standby-1",
    replication: "true",
  } as Parameters<Shop["session"]>[0]);
  const { connection } = session.client as unknown as { connection: Replication };
  const [start] = await shop.admin("SELECT pg_current_wal_flush_lsn()::text AS lsn");
  const from = String(start?.["lsn"]);
  session.start(`START_REPLICATION PHYSICAL ${from}`);
  await until(async () => (await shop.admin("SELECT FROM pg_stat_replication WHERE state = 'streaming'")).length === 1);
  const tell = (lsn: string) => connection.sendCopyFromChunk(standbyStatus(lsn));

  tell(from);
  await until(
    async () => (await shop.admin("SELECT FROM pg_stat_replication WHERE replay_lsn = $1", [from])).length === 1,
  );
  expect(await rebuild()).toMatchObject({ status: "planned" });
  for (let segment = 0; segment < 5; segment++) {
    await shop.sql("INSERT INTO sale VALUES ($1)", [1_000 + segment]);
    await shop.admin("SELECT pg_switch_wal()");
  }
  tell(from);
  expect(await until(async () => (await rebuild()).status === "failed" && rebuild())).toMatchObject(
    refusal("The replica standby-1 is behind", true),
  );
  const [now] = await shop.admin("SELECT pg_current_wal_lsn()::text AS lsn");
  await until(async () => {
    tell(String(now?.["lsn"]));
    return (await rebuild()).status === "planned";
  });
}, 60_000);

/** Tried in a namespace of its own, so that nothing of it stays. */
function mayMount(): boolean {
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

debianPostgres.describe("with a standby that replays late", () => {
  let primary: DebianServer;
  let standby: { stop(): Promise<void> };
  let own: Shop;
  let folder: string;
  const more = (maxReplicationLagMs: number) => {
    const always = parseMaintenanceWindow("daily 00:00-24:00 UTC");
    const maintenance = always ? [always] : [];
    return own.targetWith({
      maxReplicationLagMs,
      maintenance,
      backupFolder: folder,
      binDir: debianBinDir,
      minFreeMiB: 0,
    });
  };

  beforeAll(async () => {
    primary = await startDebianPostgres();
    own = await createShop(primary);
    await own.admin(`ALTER ROLE ${own.carer} CREATEDB`);
    folder = await temporaryFolder("backups");
    await carriedOut(backup, {}, more(30_000));
    standby = await primary.startStandby("standby-2", { recovery_min_apply_delay: "1500ms" });
  }, 120_000);

  afterAll(async () => {
    await own?.closeSessions();
    await standby?.stop();
    await primary?.stop();
  });

  /** Writes until a replica has told that it was late, and then looks. */
  const whileLate = async <T>(look: () => Promise<T>): Promise<T> => {
    await until(async () => {
      await own.asApp("UPDATE sale SET at = now() WHERE id = 1");
      const late = "SELECT FROM pg_stat_replication WHERE replay_lag > interval '1 second'";
      return (await own.admin(late)).length === 1;
    });
    return look();
  };

  const plans: readonly [string, (target: Target) => Promise<{ readonly status: string }>][] = [
    ["reindex", (target) => planOf(reindex, { table: "item" }, target)],
    ["create-index", (target) => planOf(createIndex, { table: "item", columns: ["kind"] }, target)],
    ["vacuum with full", (target) => planOf(vacuum, { tables: ["item"], full: true }, target)],
    ["restore", (target) => planOf(restore, { backup: `${own.database}-0001` }, target)],
  ];

  test.each(plans)(
    "%s is refused by the time that it is behind, and not where more is allowed",
    async (_name, plan) => {
      expect(await whileLate(() => plan(more(1_000)))).toMatchObject({
        status: "failed",
        retryable: true,
        reason: expect.stringMatching(/^The replica standby-2 is behind \(\d+ s, /),
      });
      expect(await whileLate(() => plan(more(60_000)))).toMatchObject({ status: "planned" });
    },
    60_000,
  );

  test("what is gentle is not refused: statistics, and plain vacuum", async () => {
    expect(await whileLate(() => planOf(analyze, { tables: ["item"] }, more(1_000)))).toMatchObject({
      status: "planned",
    });
    expect(await whileLate(() => planOf(vacuum, { tables: ["item"] }, more(1_000)))).toMatchObject({
      status: "planned",
    });
  }, 60_000);
});

interface Replication {
  sendCopyFromChunk(chunk: Buffer): void;
}

/** A standby's report that it has written, flushed and replayed up to a position ("Standby status update"). */
function standbyStatus(lsn: string): Buffer {
  const [high = "0", low = "0"] = lsn.split("/");
  const position = (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
  const message = Buffer.alloc(34);
  message.write("r");
  for (const offset of [1, 9, 17]) message.writeBigUInt64BE(position, offset);
  return message;
}
