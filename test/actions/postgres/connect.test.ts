import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Query, withClient } from "../../../src/actions/postgres/connect.ts";
import type { PostgresTarget } from "../../../src/domain/target.ts";
import { startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { bareTarget, canary, contextFor } from "../context.ts";

let server: TestPostgres;
let url: string;

beforeAll(async () => {
  const hba = join(await temporaryFolder("hba"), "pg_hba.conf");
  await writeFile(hba, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
  server = await startPostgres({ settings: { hba_file: hba } });
  url = `postgres://healer:${canary}@127.0.0.1:${server.port}/postgres`;
}, 90_000);

afterAll(() => server.stop());

function as<T>(where: string, use: (query: Query) => Promise<T>) {
  const postgres: PostgresTarget = { url: where, users: ["app"], databases: ["shop"] };
  return withClient(contextFor({ ...bareTarget, postgres }), use);
}

test("a session is named, read-only, bounded in time and blind to foreign functions, whatever the URL says", async () => {
  const settings = [
    "application_name",
    "statement_timeout",
    "lock_timeout",
    "default_transaction_read_only",
    "search_path",
  ];
  const wanted = "application_name=web&statement_timeout=0&lock_timeout=0&options=-c%20search_path%3Dpublic";
  const rows = await as(`${server.adminUrl}?${wanted}`, (query) =>
    query("SELECT current_setting(name) AS value FROM unnest($1::text[]) AS s (name)", [settings]),
  );
  expect(rows).toEqual(["paramedic", "10s", "2s", "on", "pg_catalog"].map((value) => ({ value })));
});

test("a wrong password is refused without a word of it", async () => {
  const result = await as(url, (query) => query("SELECT"));
  expect(result).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("wrong user or password"),
  });
  expect(JSON.stringify(result)).not.toContain(canary);
});

test("a missing password is refused", async () => {
  const result = await as(url.replace(`:${canary}`, ""), (query) => query("SELECT"));
  expect(result).toMatchObject({ status: "failed", retryable: false });
});

test("TLS that the server does not speak is refused", async () => {
  const result = await as(`${url}?sslmode=verify-full`, (query) => query("SELECT"));
  expect(result).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("does not speak TLS"),
  });
});

test("a connection that is cut in the middle is a failure that may pass", async () => {
  const result = await as(server.adminUrl, (query) => query("SELECT pg_terminate_backend(pg_backend_pid())"));
  expect(result).toMatchObject({ status: "failed", retryable: true });
});

test("a statement that takes too long is a failure that may pass", async () => {
  const result = await as(server.adminUrl, async (query) => {
    await query("SET statement_timeout = '50ms'");
    return query("SELECT pg_sleep(60)");
  });
  expect(result).toMatchObject({ status: "failed", retryable: true, reason: expect.stringContaining("to answer") });
});

test("an error in Paramedic's own SQL is thrown", async () => {
  await expect(as(server.adminUrl, (query) => query("SELECT nonsense"))).rejects.toMatchObject({ code: "42703" });
  await expect(as(server.adminUrl, () => Promise.reject(new TypeError("a bug")))).rejects.toThrow("a bug");
});

test("no session is left behind", async () => {
  const rows = await as(server.adminUrl, (query) =>
    query("SELECT FROM pg_stat_activity WHERE application_name = 'paramedic' AND pid <> pg_backend_pid()"),
  );
  expect(rows).toEqual([]);
});
