/** The nine troubles as people are told of them: a sentence, the figures that show it, and which limits are made smaller. */

const millis = (value) => `${Math.round(value)} ms`;
const percent = (value) => `${Math.round(value)} %`;
const megabytes = (value) => `${(value / 1e6).toFixed(1)} MB`;
const count = (value) => Number(value).toLocaleString("en-GB");

/** By the name of the playbook that heals it. `look` returns rows of what, how much, and the limit where there is one. */
export const stories = {
  "high-response-time": {
    trouble: "a page takes more than a second, since nothing of it is kept in the cache",
    hurry: "3 requests are enough to call it slow in place of 20, since averages look back for so short a time",
    look: async (stack) => [
      ["95 % of responses take up to", millis((await dashboard(stack)).response_time_p95), "1000 ms"],
      ["a look at /summary/ takes", millis(await timed(() => stack.get("/summary/"))), ""],
    ],
  },
  "slow-database-queries": {
    trouble: "a search reads a table of 800,000 rows from end to end, since an index is missing",
    hurry: "queries are slow from 20 ms on in place of 100 ms, since the table is one that can be filled quickly",
    look: async (stack) => [
      ["95 % of queries take up to", millis((await dashboard(stack)).query_time_p95), "20 ms"],
      ["an index on core_ticket (title)", await indexOnTitle(stack), ""],
    ],
  },
  "high-error-rate": {
    trouble: "version v2 was deployed, and every look at the tickets fails",
    look: async (stack) => [
      ["requests that fail", percent(100 * (await dashboard(stack)).error_rate), "5 %"],
      ["/tickets/ answers", String((await stack.get("/tickets/")).status), ""],
    ],
  },
  "low-cache-hit-rate": {
    trouble: "the cache is cold, and people look at 1,000 pages that nobody has looked at before",
    look: async (stack) => [
      ["lookups in the cache that hit", percent((await dashboard(stack)).cache_hit_rate), "50 %"],
      ["trees in the cache, of 500", count((await stack.redis.keys("*tree:*")).length), ""],
    ],
  },
  "performance-degradation": {
    trouble: "most rows of a table were deleted, and what they took in it and its indexes was never given back",
    hurry:
      "queries are slow from 10 ms on in place of 30 ms, and Prometheus was given a yesterday in which they were quick",
    look: async (stack) => [
      ["95 % of queries take up to", millis((await dashboard(stack)).query_time_p95), "10 ms"],
      ["dead rows in core_ticket", count(await deadRows(stack)), "10,000"],
      ["its indexes take", megabytes(await indexBytes(stack)), ""],
    ],
  },
  "memory-growth": {
    trouble: "the application has kept 250,000 old measurements in memory",
    look: async (stack) => [["its metrics take", megabytes((await dashboard(stack)).metrics_bytes), "32.0 MB"]],
  },
  "stale-cache": {
    trouble: "locations were renamed behind the application's back, and the cache still has their old names",
    look: async (stack) => {
      const root = await firstRoot(stack);
      const shown = JSON.stringify((await stack.get(`/tree/${root}/`)).body).includes("moved");
      const { body } = await stack.get("/monitoring/performance/cache/");
      return [
        ["cached entries that are not true", count(body.stale_entries), "0"],
        [`/tree/${root}/ shows`, shown ? "the new names" : "the old names", ""],
      ];
    },
  },
  "database-overload": {
    trouble: "a session holds a table and does nothing, and five others wait for it",
    hurry: "a query is too long after 3 s in place of 5 minutes, and 3 that wait are too many in place of 11",
    look: async (stack) => {
      const [row] = await stack.sql(
        `SELECT count(*) FILTER (WHERE wait_event_type = 'Lock')::int AS waiting,
           coalesce(extract(epoch FROM max(now() - query_start) FILTER (WHERE state = 'active')), 0)::int AS longest
         FROM pg_stat_activity WHERE usename = $1`,
        [stack.patient.app],
      );
      return [
        ["sessions that wait for a lock", count(row.waiting), "2"],
        ["the longest query has run for", `${row.longest} s`, "3 s"],
      ];
    },
  },
  "application-crash-loop": {
    trouble: "the application ends at its start, again and again, and systemd starts it again and again",
    hurry: "it counts as up after 5 s in place of 4 minutes",
    look: async (stack) => {
      const show = (property) => stack.systemd.show("youtility3.service", property);
      const answer = await stack.get("/monitoring/health/").then(
        ({ status }) => String(status),
        () => "nothing",
      );
      return [
        ["youtility3.service is", `${await show("ActiveState")} (${await show("SubState")})`, ""],
        ["started again by systemd so far", `${await show("NRestarts")} times`, ""],
        ["/monitoring/health/ answers", answer, ""],
      ];
    },
  },
};

/** What is shown where nothing is chosen. */
export const usual = "low-cache-hit-rate";

async function dashboard(stack) {
  return (await stack.get("/monitoring/dashboard/")).body;
}

async function timed(work) {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

async function firstRoot(stack) {
  const [row] = await stack.sql("SELECT min(parent_id)::int AS id FROM core_location");
  return row.id;
}

async function indexOnTitle(stack) {
  const indexes = await stack.sql(
    "SELECT FROM pg_indexes WHERE tablename = 'core_ticket' AND indexdef LIKE '%(title)'",
  );
  return indexes.length > 0 ? "is there" : "is missing";
}

async function deadRows(stack) {
  const [row] = await stack.sql("SELECT n_dead_tup AS dead FROM pg_stat_user_tables WHERE relname = 'core_ticket'");
  return row.dead;
}

async function indexBytes(stack) {
  const [row] = await stack.sql("SELECT pg_indexes_size('core_ticket') AS bytes");
  return Number(row.bytes);
}
