/**
 * One target that has everything, on real systems, with an input that works for every action of the registry; and ears
 * where an interpreter would hear: statements, arguments of programs, URLs, and what stands in Slack.
 */

import { createHash } from "node:crypto";
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createActions } from "../../../src/actions/registry.ts";
import { systemdSetEnvironment } from "../../../src/actions/systemd/set-environment.ts";
import type { ActionRegistry } from "../../../src/domain/action.ts";
import type { Target } from "../../../src/domain/target.ts";
import { createSender } from "../../../src/oncall/slack/send.ts";
import { createSlackWeb } from "../../../src/oncall/slack/web.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { type StatementProxy, startStatementProxy } from "../../support/statement-proxy.ts";
import { python } from "../../support/youtility3.ts";
import { createRepository } from "../deploy/repository.ts";
import { createDjangoPatient, type DjangoPatient } from "../django/patient.ts";
import { createShop, type Shop } from "../postgres/shop.ts";
import { createRedisPatient, type RedisPatient } from "../redis/patient.ts";
import { createUnitWard, type UnitWard } from "../systemd/unit-ward.ts";

export interface House {
  readonly actions: ActionRegistry;
  readonly target: Target;
  readonly shop: Shop;
  readonly cache: RedisPatient;
  readonly units: UnitWard;
  readonly django: DjangoPatient;
  readonly slack: SlackDouble;
  /** What files.delete-old may look at. */
  readonly folder: string;
  readonly proxy: StatementProxy;
  /** Method and URL of every request to the application and to Prometheus, and the bodies that were posted. */
  readonly requests: readonly string[];
  readonly bodies: readonly string[];
  /** The arguments of every program that was started in the place of Python and PostgreSQL's. */
  told(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** For every action an input, or several, that it accepts and that leads to something. */
export function workingInputs({ folder, queryId, backup }: Made): Readonly<Record<string, readonly object[]>> {
  const [unit, schema, table] = ["app.service", "public", "item"];
  return {
    "deploy.rollback": [{ tag: "v1", migrations: "unapply" }],
    "django.archive-metrics": [{ days: 30 }],
    "django.cleanup-metrics": [{ hours: 6 }],
    "django.clear-cache": [{ cache: "default", evenIfShared: false }],
    "django.migrate": [{ app: "core", to: "0002" }],
    "django.report": [
      { name: "monitoring.django_monitoring.metrics_collector.get_metrics", arguments: { kind: "errors" } },
    ],
    "django.warm-caches": [{}],
    "files.delete-old": [{ folder, pattern: "*.log", olderThanDays: 1, subfolders: false, atMost: 10 }],
    "files.disk-usage": [{ largest: 1 }],
    "http.get": [{ path: "/status", alsoStatus: [503] }],
    "http.post": [{ path: "/hooks/warm", body: { warm: true } }],
    "logs.errors": [{ sinceSeconds: 60, patterns: ["ERROR"], newest: 1 }],
    "notify.send": [{ text: "Hello.", channel: "#ops" }],
    "postgres.activity": [{}],
    "postgres.analyze": [{ schema, tables: [table], atMost: 1, minChangedRows: 1 }, { schema }],
    "postgres.backup": [{}],
    "postgres.cancel-queries": [{ olderThanSeconds: 600, atMost: 1 }],
    "postgres.create-index": [{ schema, table, columns: ["kind"], conditionColumn: "active" }],
    "postgres.drop-invalid-indexes": [{ schema, table }, { schema }],
    "postgres.explain": [{ queryId }],
    "postgres.invalid-indexes": [{}],
    "postgres.missing-indexes": [{ statements: 1, minRows: 1 }],
    "postgres.read-only": [{ graceSeconds: 1 }],
    "postgres.reindex": [{ schema, table, indexes: ["item_price"] }],
    "postgres.restore": [{ backup, swap: true }],
    "postgres.slow-queries": [{ minMeanMs: 1, minCalls: 1, atMost: 1, by: "mean" }],
    "postgres.table-sizes": [{ atMost: 1 }],
    "postgres.terminate-sessions": [{ olderThanSeconds: 600, atMost: 1, state: "active" }],
    "postgres.unused-indexes": [{ mostScans: 1, minBytes: 1 }],
    "postgres.vacuum": [{ schema, tables: [table], atMost: 1, minDeadRows: 1, full: false }, { schema }],
    "prometheus.query": [{ query: "up" }],
    "prometheus.range": [{ query: "up", hours: 1, limit: 1 }],
    "redis.delete-keys": [{ pattern: "sessions:*" }],
    "redis.round-trip": [{}],
    "redis.stats": [{ windowSeconds: 1 }],
    "report.send": [
      {
        to: "people",
        quiet: true,
        points: ["All is well."],
        table: { columns: ["page"], rows: [["/"]] },
        plots: [{ title: "Responses", unit: "seconds", of: { ...seen, ...now, before: seen, change: 0 } }],
      },
    ],
    "systemd.journal": [{ unit, lines: 1, sinceStart: true }],
    "systemd.restart": [{ unit }],
    "systemd.set-environment": [{ unit, variables: { MODE: "well" }, until: "reboot" }],
    "systemd.status": [{ unit }],
  };
}

/** As `prometheus.range` sees it. */
const seen = { average: 1, maximum: 1, values: [1] };
const now = { endsAt: "2026-11-23T07:00:00.000Z", stepSeconds: 60 };

interface Made {
  readonly folder: string;
  readonly queryId: string;
  readonly backup: string;
}

export async function createHouse(): Promise<{ readonly house: House; readonly made: Made }> {
  const server = await sharedPostgres();
  const [shop, units, cache, django, slack] = [
    await createShop(server),
    await createUnitWard(),
    await createRedisPatient(["sessions:*"]),
    await createDjangoPatient(),
    await startSlackDouble(),
  ];
  await units.systemd.systemctl("start", "app.service");
  await cache.fill("sessions:", 20);
  const root = await temporaryFolder("house");
  const [folder, backups, programs, told] = ["logs", "backups", "bin", "told"].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const each of [folder, backups, programs]) await mkdir(each);
  for (const name of ["a.log", "b.log"]) await writeFile(join(folder, name), "2026-11-22 20:56:17,123 ERROR a line\n");
  for (const name of ["a.log", "b.log"]) await utimes(join(folder, name), 1, 1);
  // Each tells with which words it was started, and is then what it stands for.
  const telling = `#!/bin/sh\nprintf '%s\\n' "$@" >> ${told}\n`;
  await writeFile(join(programs, "python"), `${telling}exec ${python} "$@"\n`, { mode: 0o755 });
  await writeFile(join(programs, "pg_restore"), `${telling}exit 0\n`, { mode: 0o755 });
  const backup = await writeBackup(backups, shop);
  const queryId = await knownStatement(shop);
  const repository = await createRepository(join(root, "checkout"));
  await repository.commit("one", { "app.py": "1" }, "v1");
  await repository.commit("two", { "app.py": "2" }, "v2");
  const web = await startWeb();
  const proxy = await startStatementProxy(server.port);
  const { postgres } = shop.at(proxy.port);
  const target: Target = {
    ...units.target,
    ...cache.target,
    name: "ward",
    labels: { service: ["ward"] },
    ...(units.target.systemd && { systemd: units.target.systemd }),
    ...(postgres && { postgres: { ...postgres, backupFolder: backups, binDir: programs, minFreeMiB: 0 } }),
    ...(django.target.django && { django: { ...django.target.django, python: join(programs, "python") } }),
    http: { baseUrl: web.url, post: [{ path: "/hooks/warm" }] },
    logs: { files: [join(folder, "*.log")] },
    files: { folders: [folder] },
    deploy: { checkout: repository.folder, tags: "v*", caches: [], restart: [] },
  };
  const call = createSlackWeb({ token: slack.botToken, apiUrl: slack.apiUrl, timeoutMs: 5_000 });
  const setEnvironment = systemdSetEnvironment(units.settings, {
    reboot: units.systemd.runUnits,
    durable: units.systemd.units,
  });
  const registry = createActions({
    prometheusUrl: web.url,
    ...units.settings,
    slack: { channels: ["#ops"], ...createSender(call) },
    contacts: new Map([["people", ["email"]]]),
  });
  const house: House = {
    actions: new Map([...registry, [setEnvironment.name, setEnvironment]]),
    target,
    shop,
    cache,
    units,
    django,
    slack,
    folder,
    proxy,
    requests: web.requests,
    bodies: web.bodies,
    told: async () => (await readFile(told, "utf8").catch(() => "")).split("\n"),
    stop: async () => {
      await Promise.all([proxy.stop(), web.stop(), cache.stop(), django.stop(), slack.stop()]);
      await units.systemd.down();
    },
  };
  return { house, made: { folder, queryId, backup } };
}

/** As `postgres.backup` leaves one behind; what pg_restore would read of it is not asked here. */
async function writeBackup(folder: string, { database, carer, admin }: Shop): Promise<string> {
  await admin(`ALTER ROLE ${carer} CREATEDB`);
  const text = "an archive";
  const sha256 = createHash("sha256").update(text).digest("hex");
  const takenAt = new Date().toISOString();
  const manifest = { database, takenAt, serverVersion: 180_000, bytes: text.length, sha256, tables: 2 };
  await writeFile(join(folder, `${database}-0001.dump`), text);
  await writeFile(join(folder, `${database}-0001.json`), JSON.stringify(manifest));
  return `${database}-0001`;
}

/** The id of a statement that pg_stat_statements knows. */
async function knownStatement({ sql, asApp }: Shop): Promise<string> {
  await sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
  await asApp("SELECT count(*) FROM public.item WHERE price = 7");
  const [row] = await sql(
    `SELECT queryid::text AS id FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
      WHERE d.datname = current_database() AND query LIKE 'SELECT count(*) FROM public.item WHERE price%'`,
  );
  return String(row?.["id"]);
}

/** The application and Prometheus. */
async function startWeb() {
  const requests: string[] = [];
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      if (request.method === "POST") bodies.push(Buffer.concat(pieces).toString());
      const end = Number(new URL(request.url ?? "", "http://web").searchParams.get("end"));
      const data = end
        ? { resultType: "matrix", result: [{ metric: {}, values: [[end - 60, "1"]] }] }
        : { resultType: "vector", result: [{ metric: {}, value: [1, "1"] }] };
      const answer = request.url?.startsWith("/api/v1/") ? { status: "success", data } : {};
      const known = request.url === "/status" || request.url?.startsWith("/api/v1/") || request.method === "POST";
      response.writeHead(known ? 200 : 404, { "content-type": "application/json", connection: "close" });
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    bodies,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
