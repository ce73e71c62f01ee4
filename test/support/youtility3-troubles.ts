/**
 * The troubles of YOUTILITY3 that Paramedic heals, one for each playbook that an alert starts, as they really come about:
 * what the stack has to be started with, and what is done to it then. For the e2e tests and for the demo.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createRepository } from "../actions/deploy/repository.ts";
import type { Stack, StackOptions, Visit } from "./youtility3-stack.ts";

/** A trouble, by the name of the playbook that heals it. */
export interface Trouble {
  readonly stack: Omit<StackOptions, "playbook">;
  /** The alert by which Prometheus notices it; null: it compares with yesterday, and an engineer asks. */
  readonly alertname: string | null;
  /** Who has to agree, in this order. */
  readonly people: readonly string[];
  /** Makes it. What it needs to go on is ended by the stack's `stop`. */
  cause(stack: Stack): Promise<unknown>;
}

const lead = ["U0LEAD"];

export const troubles = {
  "high-response-time": {
    // In six seconds there is no room for twenty pages of more than a second, one after the other.
    stack: { env: { CACHE_TIMEOUT: "0" }, hurry: [["youtility3_requests >= 20", "youtility3_requests >= 3"]] },
    alertname: "HighResponseTime",
    people: lead,
    cause: async (stack) => stack.visit(["/summary/"]),
  },
  "slow-database-queries": {
    // A table of a size that can be filled quickly: milliseconds in place of tenths of a second.
    stack: {
      hurry: [
        ["p95_seconds > 0.1", "p95_seconds > 0.02"],
        ["minMeanMs: 100", "minMeanMs: 20"],
        ["min_time=100", "min_time=20"],
        ["query_time_p95 < 100", "query_time_p95 < 20"],
      ],
    },
    alertname: "DatabaseQuerySlow",
    people: lead,
    cause: async (stack) => {
      await manyTickets(stack);
      return stack.visit(["/search/?times=5"]);
    },
  },
  "high-error-rate": {
    stack: { prepare: async ({ folder }) => deployBroken(folder) },
    alertname: "HighErrorRate",
    people: ["U0LEAD", "U0DEPUTY"],
    cause: async (stack) => stack.visit(["/tickets/", "/tickets/", "/monitoring/health/"]),
  },
  "low-cache-hit-rate": {
    stack: { roots: 500 },
    alertname: "LowCacheHitRate",
    people: [],
    cause: visitEverything,
  },
  "performance-degradation": {
    stack: {},
    alertname: null,
    people: lead,
    cause: bloat,
  },
  "memory-growth": {
    stack: {},
    alertname: "MemoryGrowing",
    people: [],
    cause: (stack) => growMetrics(stack, 7),
  },
  "stale-cache": {
    stack: {},
    alertname: "CacheInvalidationFailing",
    people: [],
    cause: async (stack) => {
      await fillCaches(stack);
      return changeBehindTheCache(stack, "moved");
    },
  },
  "database-overload": {
    stack: {
      hurry: [
        ["300", "3"],
        ["waiting > 10", "waiting > 2"],
        ["waiting <= 10", "waiting <= 2"],
      ],
    },
    alertname: "DatabaseOverload",
    people: lead,
    cause: lockTickets,
  },
  "application-crash-loop": {
    stack: {
      hurry: [["activeSeconds > 240", "activeSeconds > 5"]],
      prepare: async ({ folder }) => crashAtStart(folder),
    },
    alertname: "ApplicationCrashLoop",
    people: lead,
    // It is down from its first start on.
    cause: async () => {},
  },
} as const satisfies Readonly<Record<string, Trouble>>;

async function addTickets(stack: Stack, count: number): Promise<void> {
  await stack.sql(
    `INSERT INTO core_ticket (location_id, title, status, priority, opened_at)
     SELECT (SELECT max(id) FROM core_location), 'ticket ' || n, 'open', 1, now() FROM generate_series(1, ${count}) n`,
  );
}

/** So many that whoever reads all of them is slow. */
export async function manyTickets(stack: Stack): Promise<void> {
  await addTickets(stack, 800_000);
  await stack.sql("ANALYZE core_ticket");
}

/** Nine of ten rows are gone, and still take their room. */
async function bloat(stack: Stack): Promise<void> {
  await stack.sql("ALTER TABLE core_ticket SET (autovacuum_enabled = off)");
  await addTickets(stack, 50_000);
  await stack.sql("DELETE FROM core_ticket WHERE id % 10 > 0");
}

/** Two versions, of which the second one, which is served, fails at every look at the tickets. */
async function deployBroken(folder: string): Promise<void> {
  const repository = await createRepository(folder);
  await repository.commit("the version that works", {}, "v1");
  const views = await readFile(join(folder, "apps/core/views.py"), "utf8");
  const broken = views.replace("QueryRepository.open_tickets()", "QueryRepository.tickets_that_are_open()");
  await repository.commit("the version that fails", { "apps/core/views.py": broken }, "v2");
}

async function rootsOf(stack: Stack): Promise<readonly unknown[]> {
  const roots = await stack.sql("SELECT id FROM core_location WHERE parent_id IS NULL ORDER BY id");
  return roots.map(({ id }) => id);
}

/** People look at every tree and every report, one after the other, and nobody has before. */
async function visitEverything(stack: Stack): Promise<{ readonly people: Visit; readonly pages: readonly string[] }> {
  const pages = (await rootsOf(stack)).flatMap((id) => [`/tree/${id}/`, `/report/${id}/`]);
  return { people: stack.visit(pages, 10), pages };
}

/** About 60 MB of metrics that are so old. */
export async function growMetrics(stack: Stack, hours: number): Promise<void> {
  await inMetrics(stack, async () => {
    for (let batch = 0; batch < 50; batch += 1) {
      const members = Array.from({ length: 5_000 }, (_, index) => [
        Date.now() / 1_000 - hours * 3_600 - index / 1_000,
        `{"id": "${hours}-${batch}-${index}", "path": "${"/old".repeat(20)}/", "ms": 12.5, "status": 200}`,
      ]);
      await stack.redis.zadd("metrics:requests", ...members.flat());
    }
  });
}

/** Takes all of them away, as if their time had come. */
export async function forgetMetrics(stack: Stack): Promise<void> {
  await inMetrics(stack, () => stack.redis.del("metrics:requests"));
}

async function inMetrics(stack: Stack, work: () => Promise<unknown>): Promise<void> {
  const { db = 0 } = stack.redis.options;
  await stack.redis.select(1);
  try {
    await work();
  } finally {
    await stack.redis.select(db);
  }
}

/** Looks at every tree and every report once. */
export async function fillCaches(stack: Stack): Promise<void> {
  for (const id of await rootsOf(stack)) for (const page of ["tree", "report"]) await stack.get(`/${page}/${id}/`);
}

/** Renames the locations of one tree without telling the cache; returns the path of that tree. */
export async function changeBehindTheCache(stack: Stack, name: string): Promise<string> {
  const [first] = await stack.sql("SELECT min(parent_id)::int AS id FROM core_location");
  const root = first?.["id"];
  await stack.sql("UPDATE core_location SET name = $2 WHERE parent_id = $1", [root, name]);
  return `/tree/${root}/`;
}

/** Looks at tickets again and again, also when it is cancelled. */
export const insist = `DO $$ BEGIN FOR i IN 1..1000 LOOP
  BEGIN PERFORM count(*) FROM core_ticket; EXCEPTION WHEN query_canceled THEN NULL; END;
END LOOP; END $$`;

/** One session holds the tickets; five wait for them, and ask again when their query is cancelled. */
async function lockTickets(stack: Stack): Promise<void> {
  const holder = await stack.patient.session();
  await holder.client.query("BEGIN; LOCK TABLE core_ticket");
  const waiting = await Promise.all(Array.from({ length: 5 }, () => stack.patient.session()));
  for (const session of waiting) {
    await session.client.query("SET statement_timeout = '60s'");
    session.start(insist);
  }
}

/** Three ways in which a version can be broken: always but in safe mode, always, and after a few seconds. */
const crashes = `if os.environ.get("MONITOR_QUERIES") != "false":
    sys.exit("the monitoring of queries fails")
if os.path.exists("broken"):
    sys.exit("this version is broken")
if os.path.exists("dying"):
    import threading
    threading.Timer(6, lambda: os._exit(1)).start()

`;

/** The application does not start while its queries are measured, nor with a file `broken` in its folder; with `dying` it does not last. */
async function crashAtStart(folder: string): Promise<void> {
  const file = join(folder, "manage.py");
  await writeFile(file, (await readFile(file, "utf8")).replace("if __name__", `${crashes}if __name__`));
}
