import { query, sharedPostgres, startPostgres } from "./postgres.ts";

jest.setTimeout(60_000);

describe("the Postgres for tests", () => {
  test("hands every caller a fresh database on one shared server", async () => {
    const [first, second] = await Promise.all([sharedPostgres(), sharedPostgres()]);
    expect(first.port).toBe(second.port);
    expect(first.url).not.toBe(second.url);
    await query(first.url, "CREATE TABLE mine (id int)");
    expect(await query(second.url, "SELECT to_regclass('mine') AS found")).toEqual([{ found: null }]);
  });

  test("keeps its data and its port through a SIGKILL and a stop", async () => {
    const postgres = await startPostgres({ settings: { max_connections: "17" } });
    try {
      await query(postgres.url, "CREATE TABLE kept AS SELECT 42 AS id");
      expect(await query(postgres.url, "SHOW max_connections")).toEqual([{ max_connections: "17" }]);
      const before = postgres.pid;
      postgres.kill();
      await postgres.start();
      expect(postgres.pid).not.toBe(before);
      expect(await query(postgres.url, "SELECT id FROM kept")).toEqual([{ id: 42 }]);
      await postgres.stop();
      await expect(query(postgres.url, "SELECT 1")).rejects.toThrow(/ECONNREFUSED/);
      await postgres.start();
      expect(await query(postgres.url, "SELECT id FROM kept")).toEqual([{ id: 42 }]);
    } finally {
      await postgres.stop();
    }
  });
});
