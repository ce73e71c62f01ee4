/** The Django project of test/e2e/youtility3 on a real Postgres and Redis: migrated, filled, served on a free port. */

import { execFile } from "node:child_process";
import { cp } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { DjangoTarget } from "../../src/domain/target.ts";
import { isInstalled, serviceUnless } from "./real-service.ts";
import { temporaryFolder } from "./run-folder.ts";
import { startServer, type TestServer } from "./server.ts";

const source = resolve("test/e2e/youtility3");
const packages = "/usr/lib/python3/dist-packages";

/** Debian's interpreter: others in the PATH do not see Debian's packages. */
export const python = "/usr/bin/python3";

const missing = [python, ...["django", "django_redis", "psycopg2"].map((name) => join(packages, name))].find(
  (path) => !isInstalled(path),
);

/** Debian's packages of Django, its Redis cache and its driver of Postgres. */
export const djangoService = serviceUnless(
  missing === undefined
    ? null
    : `Django (Debian: python3-django, python3-django-redis, python3-psycopg2) is not installed: there is no ${missing}. Run scripts/test-deps.sh.`,
);

export interface Youtility3Options {
  readonly databaseUrl: string;
  /** The cache; the metrics are in the database after it on the same server. */
  readonly redisUrl: string;
  /** Further variables, such as CACHE_TIMEOUT. */
  readonly env?: Readonly<Record<string, string>>;
  readonly roots?: number;
  readonly tickets?: number;
}

export interface Youtility3 {
  /** A copy of the project that tests may change. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** As in the configuration of a target. */
  readonly django: DjangoTarget;
  /** Runs `manage.py` and returns what it prints. */
  manage(...args: readonly string[]): Promise<string>;
  /** Runs Python with the project set up, for what a test wants to know, and returns what it prints. */
  shell(code: string): Promise<string>;
  /** Serves the project on a free port of 127.0.0.1. */
  serve(): Promise<ServedYoutility3>;
}

export interface ServedYoutility3 extends TestServer {
  readonly url: string;
  /** The answer's code and its JSON, or its text where it is none. */
  get(path: string): Promise<{ readonly code: number; readonly body: unknown }>;
}

/** Copies the project, migrates its database and fills it. */
export async function createYoutility3(options: Youtility3Options): Promise<Youtility3> {
  const folder = join(await temporaryFolder("youtility3"), "project");
  await cp(source, folder, { recursive: true });
  const env = {
    YT3_DATABASE_URL: options.databaseUrl,
    YT3_REDIS_URL: options.redisUrl,
    YT3_SECRET_KEY: "a-key-that-only-the-tests-know",
    ...options.env,
  };
  const inherited = { PATH: "/usr/bin:/bin", LANG: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" };
  const run = async (...args: readonly string[]) => {
    const { stdout } = await promisify(execFile)(python, args, {
      cwd: folder,
      env: { ...inherited, ...env },
      timeout: 60_000,
    });
    return stdout;
  };
  const manage: Youtility3["manage"] = (...args) => run("manage.py", ...args);
  await manage("migrate", "--verbosity=0");
  await manage("fill", `--roots=${options.roots ?? 20}`, `--tickets=${options.tickets ?? 500}`);
  return {
    folder,
    env,
    django: djangoTarget(folder, env),
    manage,
    shell: (code) => manage("shell", "-c", code),
    serve: () => serve(folder, { ...inherited, ...env }),
  };
}

/** The section `django` for a project in this folder. */
export function djangoTarget(project: string, env: Readonly<Record<string, string>>): DjangoTarget {
  return {
    project,
    python,
    settings: "youtility3.settings",
    env,
    warmUp: [
      "apps.core.cache_manager.TreeCache.warm_cache",
      "apps.core.queries.ReportQueryRepository.warm_report_cache",
    ],
    reports: [
      "monitoring.views.get_performance_summary",
      "monitoring.views.get_cache_performance",
      "monitoring.django_monitoring.metrics_collector.get_metrics",
    ],
    metrics: {
      cleanUp: "monitoring.django_monitoring.metrics_collector.cleanup_old_metrics",
      archive: "archive_metrics",
      count: "monitoring.django_monitoring.metrics_collector.count_old_metrics",
    },
  };
}

async function serve(folder: string, env: NodeJS.ProcessEnv): Promise<ServedYoutility3> {
  const server = await startServer({
    command: python,
    args: (port) => ["manage.py", "runserver", "--noreload", `127.0.0.1:${port}`],
    cwd: folder,
    env,
    ready: async (port) => (await fetch(`http://127.0.0.1:${port}/monitoring/health/`)).ok,
  });
  const url = `http://127.0.0.1:${server.port}`;
  const get: ServedYoutility3["get"] = async (path) => {
    const response = await fetch(`${url}${path}`, { headers: { connection: "close" } });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return { code: response.status, body: isJson ? JSON.parse(text) : text };
  };
  return Object.defineProperties(server as ServedYoutility3, { url: { value: url }, get: { value: get } });
}
