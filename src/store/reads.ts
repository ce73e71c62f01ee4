/** What people and programs read of runs and episodes: single ones, lists paged by key, and events as they come. */

import type { Happening, RunEvent, Trigger } from "../domain/event.ts";
import type { RunState, WaitingFor } from "../domain/run.ts";
import { eventOf, firstBroken } from "./chain.ts";
import type { Database } from "./connect.ts";
import { given } from "./given.ts";

/** A run's row, as lists show it. */
export interface RunRow {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly trigger: Trigger["kind"];
  readonly requestedBy: string | null;
  readonly episodeId: string | null;
  readonly dryRun: boolean;
  readonly state: RunState;
  readonly waitingFor: WaitingFor | null;
  readonly outcome: string | null;
  readonly dueAt: string | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

export interface RunFilter {
  readonly state: string | null;
  readonly outcome: string | null;
  readonly playbook: string | null;
  readonly target: string | null;
  readonly limit: number;
  /** The id after which the page begins; ids are UUIDv7, so pages go from new to old. */
  readonly before: string | null;
}

export interface EpisodeRow {
  readonly id: string;
  readonly source: string;
  readonly fingerprint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: "firing" | "resolved";
  readonly startsAt: string;
  readonly endsAt: string | null;
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly notifications: number;
}

export interface EpisodeFilter {
  readonly status: "firing" | "resolved" | null;
  readonly limit: number;
  readonly before: string | null;
}

export interface Reads {
  runs(filter: RunFilter): Promise<readonly RunRow[]>;
  run(id: string): Promise<RunRow | null>;
  /** The events of a run after `afterSeq`, in order. */
  events(runId: string, afterSeq: number): Promise<readonly RunEvent[]>;
  /** The same of many runs in one statement, each after its own position; runs of which there are none are left out. */
  news(since: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, readonly RunEvent[]>>;
  episodes(filter: EpisodeFilter): Promise<readonly EpisodeRow[]>;
  /** The position of the first event of a run that was tampered with, or null. */
  firstBrokenEvent(runId: string): Promise<number | null>;
  /** Throws where the store cannot be used. */
  ping(): Promise<void>;
}

export function createReads(database: Database): Reads {
  const { people } = database;
  return {
    runs: async (filter) => {
      // Only what ended has an outcome; Postgres would look through all of that outcome to find none.
      if (filter.outcome !== null && filter.state !== null && filter.state !== "ended") return [];
      const { conditions, values, order } = whichRuns(filter);
      const { rows } = await people.query<StoredRun>(
        `SELECT ${runColumns} FROM paramedic.runs ${conditions} ORDER BY ${order} LIMIT ${filter.limit | 0}`,
        values,
      );
      return rows.map(runOf);
    },
    run: async (id) => {
      const { rows } = await people.query<StoredRun>(`SELECT ${runColumns} FROM paramedic.runs WHERE id = $1`, [id]);
      return rows[0] ? runOf(rows[0]) : null;
    },
    events: async (runId, afterSeq) => {
      const { rows } = await people.query<{ seq: number; event: Happening & { at: string } }>({
        name: "paramedic-events",
        text: "SELECT seq, event FROM paramedic.run_events WHERE run_id = $1 AND seq > $2 ORDER BY seq",
        values: [runId, afterSeq],
      });
      return rows.map((row) => eventOf(row.seq, row.event));
    },
    news: async (since) => {
      const { rows } = await people.query<{ run_id: string; seq: number; event: Happening & { at: string } }>({
        name: "paramedic-news",
        text: newsSql,
        values: sinces.values({ since: [...since].map(([run, seq]) => ({ run, seq })) }),
      });
      const news = new Map<string, RunEvent[]>();
      for (const { run_id: run, seq, event } of rows) {
        news.set(run, [...(news.get(run) ?? []), eventOf(seq, event)]);
      }
      return news;
    },
    episodes: async (filter) => {
      const { conditions, values } = where([
        ["status = ?", filter.status],
        ["id < ?", filter.before],
      ]);
      const { rows } = await people.query<StoredEpisode>(
        `SELECT id, source, fingerprint, labels, annotations, status, starts_at, ends_at, first_seen, last_seen, notifications
         FROM paramedic.episodes ${conditions} ORDER BY id DESC LIMIT ${filter.limit | 0}`,
        values,
      );
      return rows.map(episodeOf);
    },
    firstBrokenEvent: async (runId) => {
      const { rows } = await people.query<StoredLink>(
        `SELECT e.seq, e.event::text AS text, e.prev_hash, e.hash, r.last_seq, r.last_hash
         FROM paramedic.runs r LEFT JOIN paramedic.run_events e ON e.run_id = r.id WHERE r.id = $1 ORDER BY e.seq`,
        [runId],
      );
      const end = rows.at(-1);
      if (!end) return null;
      const links = rows.filter((row) => row.seq !== null);
      const broken = firstBroken(
        runId,
        links.map((row) => ({ seq: row.seq, text: row.text, prevHash: row.prev_hash, hash: row.hash })),
      );
      if (broken !== null) return broken;
      // The chain itself cannot tell that its end is missing, or that something was added: the run's row does.
      if (links.length !== end.last_seq) return Math.min(links.length, end.last_seq) + 1;
      return end.hash.equals(end.last_hash) ? null : end.last_seq;
    },
    ping: async () => {
      await people.query("SELECT FROM paramedic.switches");
    },
  };
}

const sinces = given({ since: { run: "uuid", seq: "int" } });
const newsSql = `
SELECT e.run_id, e.seq, e.event FROM ${sinces.from.since}
JOIN paramedic.run_events e ON e.run_id = since.run AND e.seq > since.seq ORDER BY e.run_id, e.seq`;

/** No id comes after this one. */
const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

function whichRuns(filter: RunFilter): { conditions: string; values: string[]; order: string } {
  const { state, outcome, playbook, target, before } = filter;
  const others = [
    ["state = ?", state],
    ["playbook = ?", playbook],
    ["target = ?", target],
  ] as const;
  // The runs of one target are few enough to walk, whatever their outcome.
  if (outcome === null || target !== null) {
    return { ...where([...others, ["outcome = ?", outcome], ["id < ?", before]]), order: "id DESC" };
  }
  // With `outcome = ?` the planner may drop the outcome from the order and walk all runs from the newest one, of which
  // very many may have none yet. A range that holds one outcome is the same list, and only its index has that order.
  const range = [
    ["outcome >= ?", outcome],
    ["(outcome, id) < (?, ?)", outcome, before ?? lastId],
  ] as const;
  return { ...where([...others, ...range]), order: "outcome DESC, id DESC" };
}

/** The WHERE clause of the filters that are set. The conditions are ours; the values are parameters, one for each `?`. */
function where(filters: readonly (readonly [string, ...(string | null)[]])[]): {
  conditions: string;
  values: string[];
} {
  const values: string[] = [];
  const conditions: string[] = [];
  for (const [condition, ...given] of filters) {
    const set = given.filter((value) => value !== null);
    if (set.length < given.length) continue;
    let next = values.length;
    values.push(...set);
    conditions.push(
      condition.replaceAll("?", () => {
        next += 1;
        return `$${next}`;
      }),
    );
  }
  return { conditions: conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "", values };
}

const runColumns = `id, playbook, playbook_hash, target, trigger, requested_by, episode_id, dry_run, state, waiting_for,
  outcome, due_at, created_at, ended_at`;

interface StoredRun {
  readonly id: string;
  readonly playbook: string;
  readonly playbook_hash: string;
  readonly target: string;
  readonly trigger: Trigger["kind"];
  readonly requested_by: string | null;
  readonly episode_id: string | null;
  readonly dry_run: boolean;
  readonly state: RunState;
  readonly waiting_for: WaitingFor | null;
  readonly outcome: string | null;
  readonly due_at: Date;
  readonly created_at: Date;
  readonly ended_at: Date | null;
}

function runOf(row: StoredRun): RunRow {
  return {
    id: row.id,
    playbook: row.playbook,
    playbookHash: row.playbook_hash,
    target: row.target === "" ? null : row.target,
    trigger: row.trigger,
    requestedBy: row.requested_by,
    episodeId: row.episode_id,
    dryRun: row.dry_run,
    state: row.state,
    waitingFor: row.waiting_for,
    outcome: row.outcome,
    dueAt: row.state === "waiting" ? row.due_at.toISOString() : null,
    createdAt: row.created_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  };
}

interface StoredLink {
  readonly seq: number;
  readonly text: string;
  readonly prev_hash: Buffer;
  readonly hash: Buffer;
  readonly last_seq: number;
  readonly last_hash: Buffer;
}

interface StoredEpisode {
  readonly id: string;
  readonly source: string;
  readonly fingerprint: string;
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly status: "firing" | "resolved";
  readonly starts_at: Date;
  readonly ends_at: Date | null;
  readonly first_seen: Date;
  readonly last_seen: Date;
  readonly notifications: number;
}

function episodeOf(row: StoredEpisode): EpisodeRow {
  return {
    id: row.id,
    source: row.source,
    fingerprint: row.fingerprint,
    labels: row.labels,
    annotations: row.annotations,
    status: row.status,
    startsAt: row.starts_at.toISOString(),
    endsAt: row.ends_at?.toISOString() ?? null,
    firstSeen: row.first_seen.toISOString(),
    lastSeen: row.last_seen.toISOString(),
    notifications: row.notifications,
  };
}
