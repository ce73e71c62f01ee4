/** What the benchmarks run on: a durable Postgres, a Redis, and the files that Paramedic reads. */

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../test/support/free-port.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { temporaryFolder } from "../test/support/run-folder.ts";
import { startServer } from "../test/support/server.ts";
import { targetCount } from "./notifications.ts";

export const token = "a-token-that-only-the-benchmarks-know";

export interface Ground {
  readonly redisUrl: string;
  readonly configFile: string;
  /** A fresh database on the one server. */
  newDatabase(): Promise<string>;
  /** The environment of a Paramedic on this database; without `redisUrl` its queue is in the same database. */
  environment(of: { readonly databaseUrl: string | null; readonly redisUrl: string | null }): Promise<Environment>;
}

export interface Environment {
  readonly url: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** Starts the services. They end with `globalTeardown` of the tests' support. */
export async function prepareGround(): Promise<Ground> {
  const postgres = await startPostgres({
    durable: true,
    settings: { shared_buffers: "256MB", max_wal_size: "4GB", checkpoint_timeout: "30min" },
  });
  const redis = await startRedis();
  const configFile = await writeConfiguration();
  return {
    redisUrl: `redis://127.0.0.1:${redis}`,
    configFile,
    newDatabase: postgres.newDatabase,
    environment: async ({ databaseUrl, redisUrl }) => {
      const listen = `127.0.0.1:${await freePort()}`;
      return {
        url: `http://${listen}`,
        variables: {
          PARAMEDIC_LISTEN: listen,
          ALERTMANAGER_TOKEN: token,
          ...(databaseUrl && { DATABASE_URL: databaseUrl }),
          ...(redisUrl && { REDIS_URL: redisUrl }),
        },
      };
    },
  };
}

/** As in production: an append-only file, flushed every second. */
async function startRedis(): Promise<number> {
  const folder = await temporaryFolder("redis");
  const server = await startServer({
    command: "redis-server",
    args: (port) => [
      ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder],
      ...["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"],
    ],
    cwd: folder,
    ready: async (port) =>
      (await fetch(`http://127.0.0.1:${port}`).catch((error) => error.cause))?.code !== "ECONNREFUSED",
  });
  return server.port;
}

/** One playbook of three steps that only look, for many targets. Where actions are replaced, `http.get` does nothing. */
async function writeConfiguration(): Promise<string> {
  const folder = await temporaryFolder("config");
  mkdirSync(join(folder, "playbooks"));
  writeFileSync(
    join(folder, "playbooks", "benchmark.yaml"),
    [
      "name: benchmark",
      "summary: Three steps that look and change nothing.",
      `on: { alerts: ['alertname="Benchmark"'] }`,
      "target: { label: service }",
      "steps:",
      "  - { id: first, do: http.get, with: { path: /first } }",
      "  - { id: second, do: http.get, with: { path: /second } }",
      "  - { id: third, do: http.get, with: { path: /third } }",
      "",
    ].join("\n"),
  );
  const targets = Array.from(
    { length: targetCount },
    (_, index) =>
      `  target-${index}: { labels: { service: [service-${index}] }, http: { baseUrl: http://127.0.0.1:9 } }`,
  );
  const file = join(folder, "paramedic.yaml");
  writeFileSync(
    file,
    [
      "alertmanager: { tokens: [{ env: ALERTMANAGER_TOKEN }] }",
      "playbooks: playbooks/",
      "targets:",
      ...targets,
      "",
    ].join("\n"),
  );
  return file;
}

/** The same configuration with one more section. */
export async function configurationWith(ground: Ground, section: string): Promise<string> {
  const folder = await temporaryFolder("config");
  cpSync(join(ground.configFile, ".."), folder, { recursive: true });
  const file = join(folder, "paramedic.yaml");
  writeFileSync(file, `${section}\n`, { flag: "a" });
  return file;
}
