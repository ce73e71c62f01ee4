/** Scheduled playbooks: which occurrence was dealt with last, and the one run that each is given. */

import { type Database, inTransaction } from "./connect.ts";
import { firstEvent, lockKeyOf, type NewRun } from "./new-run.ts";

/** A playbook with a schedule, as this process has loaded it. */
export interface Scheduled {
  readonly playbook: string;
  /** Which occurrence is due at `now`, after the one at `last`; null: none. Milliseconds since 1970. */
  due(
    last: number,
    now: number,
  ): { readonly due: number; readonly verdict: "run" | "late"; readonly missed: number } | null;
  /** The run of an occurrence. `due` is RFC 3339. */
  runFor(due: string): NewRun;
  /** What is to become of an occurrence while another run of the playbook goes on: it waits, or is left out. */
  readonly whileBusy: "wait" | "skip";
}

export interface Ticked {
  readonly playbook: string;
  /** RFC 3339. */
  readonly due: string;
  /** `busy`: another run of the playbook goes on, and the occurrence is left out. */
  readonly what: "started" | "late" | "busy";
  /** The run that was started; null: none was. */
  readonly run: string | null;
  readonly missed: number;
}

export interface Schedules {
  /** Deals with the occurrence that is due, if one is; each once, however many workers ask. */
  tick(scheduled: Scheduled): Promise<Ticked | null>;
}

/** Where what was dealt with lies so far ahead, the server's clock was set back, and no other worker's tick came first. */
const setBackMs = 60_000;

export function createSchedules(database: Database): Schedules {
  return {
    tick: (scheduled) =>
      inTransaction(database.pool, async (client) => {
        const { playbook } = scheduled;
        await client.query("INSERT INTO paramedic.schedules (playbook) VALUES ($1) ON CONFLICT DO NOTHING", [playbook]);
        // Another worker that looks at this playbook just now deals with it.
        const { rows } = await client.query<{ last_due: Date; now: Date }>(
          "SELECT last_due, now() AS now FROM paramedic.schedules WHERE playbook = $1 FOR UPDATE SKIP LOCKED",
          [playbook],
        );
        const row = rows[0];
        if (!row) return null;
        if (row.last_due.getTime() - row.now.getTime() > setBackMs) {
          // Without this, nothing would be due until the clock has caught up.
          await client.query("UPDATE paramedic.schedules SET last_due = now() WHERE playbook = $1", [playbook]);
          return null;
        }
        const occurrence = scheduled.due(row.last_due.getTime(), row.now.getTime());
        if (!occurrence) return null;
        const due = new Date(occurrence.due).toISOString();
        const { rowCount: busy } = await client.query(
          "SELECT FROM paramedic.runs WHERE playbook = $1 AND state <> 'ended' LIMIT 1",
          [playbook],
        );
        if (occurrence.verdict === "run" && busy && scheduled.whileBusy === "wait") return null;
        await client.query("UPDATE paramedic.schedules SET last_due = $2 WHERE playbook = $1", [playbook, due]);
        const ticked = { playbook, due, missed: occurrence.missed };
        if (occurrence.verdict === "late") return { ...ticked, what: "late", run: null };
        if (busy) return { ...ticked, what: "busy", run: null };
        const run = scheduled.runFor(due);
        const first = firstEvent(run, row.now.toISOString());
        const { rowCount: started } = await client.query(createSql, [
          run.id,
          run.playbook,
          run.playbookHash,
          run.target ?? "",
          lockKeyOf(run),
          due,
          first.hash,
          first.text,
          first.prevHash,
          run.hold?.policy ?? null,
          (run.hold?.afterMs ?? 0) / 1000,
        ]);
        // It may have been run before the clock was set back.
        return started ? { ...ticked, what: "started", run: run.id } : null;
      }),
  };
}

const createSql = `
WITH created AS (
  INSERT INTO paramedic.runs (id, playbook, playbook_hash, target, lock_key, trigger, scheduled_for, last_seq, last_hash)
  VALUES ($1, $2, $3, $4, $5, 'schedule', $6, 1, $7)
  ON CONFLICT (playbook, scheduled_for) WHERE scheduled_for IS NOT NULL DO NOTHING
  RETURNING id
), held AS (
  INSERT INTO paramedic.escalations (run_id, policy, topic, held, due_at)
  SELECT id, $10, 'held', true, now() + make_interval(secs => $11) FROM created WHERE $10::text IS NOT NULL
)
INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash) SELECT id, 1, $8::json, $9, $7 FROM created`;
