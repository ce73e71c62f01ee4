import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backup } from "../../../src/actions/postgres/backup.ts";
import { isAlive } from "../../support/process.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { until } from "../../support/until.ts";
import { canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { type DebianServer, debianBinDir, debianPostgres, startDebianPostgres } from "./debian-postgres.ts";
import { heldByLock } from "./held.ts";
import { carriedOut, createShop, planOf, type Shop } from "./shop.ts";

let server: DebianServer;
let shop: Shop;
let folder: string;

debianPostgres.describe("postgres.backup", () => {
  beforeAll(async () => {
    server = await startDebianPostgres();
    shop = await createShop(server);
    folder = await temporaryFolder("backups");
  }, 90_000);

  afterEach(() => shop.closeSessions());
  afterAll(() => server?.stop());

  const more = () => ({ backupFolder: folder, binDir: debianBinDir, minFreeMiB: 0 });
  const target = () => shop.targetWith(more());
  const files = () => readdirSync(folder).sort();
  const clear = () => {
    for (const file of files()) rmSync(join(folder, file));
  };

  describeContract("postgres.backup", {
    input: {},
    hostile: [
      null,
      { database: "postgres" },
      { folder: "/etc" },
      { file: "../../etc/passwd" },
      { args: ["--file=/x"] },
    ],
    healthy: () => ({ action: backup, target: target() }),
    at: (port) => ({
      action: backup,
      target: { ...shop.at(port), postgres: { ...shop.at(port).postgres, ...more() } as never },
    }),
    arrange: async () => clear(),
    state: async () => files(),
    midway: { hold: () => heldByLock(shop, "item", "ACCESS EXCLUSIVE", "LOCK TABLE"), told: "unchanged" },
  });

  test("writes an archive that pg_restore can read, with its sum, for its owner only, under the next number", async () => {
    clear();
    const first = await carriedOut(backup, {}, target());
    const archive = join(folder, `${shop.database}-0001.dump`);
    const bytes = readFileSync(archive);
    expect(first).toMatchObject({
      status: "done",
      result: {
        backup: `${shop.database}-0001`,
        database: shop.database,
        tables: 2,
        bytes: bytes.length,
        sha256: createHash("sha256").update(bytes).digest("hex"),
        written: true,
      },
    });
    expect(statSync(archive).mode & 0o777).toBe(0o600);
    expect(execFileSync(join(debianBinDir, "pg_restore"), ["--list", archive], { encoding: "utf8" })).toContain("item");
    expect(await carriedOut(backup, {}, target())).toMatchObject({ result: { backup: `${shop.database}-0002` } });
    expect(files()).toEqual(
      ["0001.dump", "0001.json", "0002.dump", "0002.json"].map((end) => `${shop.database}-${end}`),
    );
  });

  test("the password is in the environment of the program alone: not in its arguments, nor in ours", async () => {
    clear();
    const bin = await temporaryFolder("bin");
    for (const program of ["pg_dump", "pg_restore"]) {
      const script = `#!/bin/sh\nprintf '%s\\n' "$@" >> ${bin}/arguments\nenv >> ${bin}/environment\nexec ${debianBinDir}/${program} "$@"\n`;
      writeFileSync(join(bin, program), script);
      chmodSync(join(bin, program), 0o755);
    }
    expect(await carriedOut(backup, {}, shop.targetWith({ ...more(), binDir: bin }))).toMatchObject({ status: "done" });
    expect(readFileSync(join(bin, "arguments"), "utf8")).not.toContain(canary);
    const environment = readFileSync(join(bin, "environment"), "utf8");
    expect(environment).toContain(`PGPASSWORD=${canary}`);
    expect(environment).not.toContain("PARAMEDIC_TEST_RUN_FOLDER");
    expect(environment).not.toContain("HOME=");
    expect(Object.values(process.env).join()).not.toContain(canary);
  });

  test("an abort ends the program and all it has started, and leaves nothing in the folder", async () => {
    clear();
    const bin = await temporaryFolder("bin");
    writeFileSync(join(bin, "pg_dump"), `#!/bin/sh\ntrap '' TERM\nsleep 600 & echo $! > ${bin}/pid\nwait\nsleep 600\n`);
    chmodSync(join(bin, "pg_dump"), 0o755);
    const slow = shop.targetWith({ ...more(), binDir: bin });
    const planned = await planOf(backup, {}, slow);
    if (planned.status !== "planned") throw new Error(planned.reason);
    const abort = new AbortController();
    const outcome = backup.apply(planned.plan, contextFor(slow, abort.signal));
    const pid = await until(() => Number(readFileSync(join(bin, "pid"), "utf8")) || false);
    abort.abort();
    const aborted = performance.now();
    expect(await outcome).toMatchObject({ status: "failed", retryable: true });
    expect(performance.now() - aborted).toBeLessThan(2_000);
    await until(() => !isAlive(pid));
    expect(files()).toEqual([]);
  });

  test.each([
    ["is no archive", 'echo rubbish > "$file"'],
    ["lacks its end", 'truncate --size=$(($(stat --format=%s "$file") * 2 / 3)) "$file"'],
    [
      "has a damaged part",
      'head --bytes=64 /dev/zero | dd of="$file" conv=notrunc bs=1 seek=$(($(stat --format=%s "$file") / 2))',
    ],
  ])("an archive that %s is not kept", async (_what, spoil) => {
    clear();
    const bin = await temporaryFolder("bin");
    writeFileSync(
      join(bin, "pg_dump"),
      `#!/bin/sh\n${debianBinDir}/pg_dump "$@" || exit 1\nfor a; do case "$a" in --file=*) file="\${a#--file=}";; esac; done\n${spoil}\n`,
    );
    writeFileSync(join(bin, "pg_restore"), `#!/bin/sh\nexec ${debianBinDir}/pg_restore "$@"\n`);
    for (const program of ["pg_dump", "pg_restore"]) chmodSync(join(bin, program), 0o755);
    expect(await carriedOut(backup, {}, shop.targetWith({ ...more(), binDir: bin }))).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("cannot be read again, so it is not kept"),
    });
    expect(files()).toEqual([]);
  });

  test("what is missing is said: the folder, the program, room, rights", async () => {
    const reasons = async (changed: object) => {
      const changedTarget = shop.targetWith({ ...more(), ...changed });
      const planned = await planOf(backup, {}, changedTarget);
      return planned.status === "failed" ? planned : backup.apply(planned.plan, contextFor(changedTarget));
    };
    const refusal = (words: string) => ({ status: "failed", retryable: false, reason: expect.stringContaining(words) });
    expect(await planOf(backup, {}, shop.target)).toMatchObject(refusal("Configure postgres.backupFolder"));
    expect(await reasons({ backupFolder: "/nowhere" })).toMatchObject(refusal("is no folder"));
    expect(await reasons({ binDir: "/nowhere" })).toMatchObject(refusal("Install PostgreSQL's client programs"));
    expect(await reasons({ minFreeMiB: 1_048_576 })).toMatchObject(refusal("must stay free"));
    const url = String(shop.target.postgres?.url).replace(shop.carer, shop.healer);
    expect(await reasons({ url })).toMatchObject(refusal("permission denied for table"));
  });
});
