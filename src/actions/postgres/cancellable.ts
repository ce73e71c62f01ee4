/**
 * Which queries may be cancelled and which sessions terminated at all: the one guard that both planning and applying
 * use. Every condition is positive, so that what is not known (NULL, for want of rights) is left alone.
 */

// What an application runs. Everything else (DDL, VACUUM, COPY, CALL, DO, EXPLAIN …) is left alone.
const firstWords = "select|with|insert|update|delete|merge|values|table|fetch|execute|begin|start";
// What an application sends last before it leaves a transaction idle.
const idleWords = `${firstWords}|savepoint|release|rollback|set|show|declare|close|deallocate`;
// A query of several statements is left alone where one of the later ones may be of those others.
const laterWords =
  "create|alter|drop|truncate|reindex|vacuum|cluster|refresh|repack|analyze|copy|comment|grant|revoke|reassign|security|import|call|do|prepare|checkpoint|lock";
// Programs that back up, restore, replicate, repair or migrate, by the application_name they set.
const programs =
  "paramedic|pg_|pgbackrest|pgbasebackup|barman|wal-?[eg]|walg|repmgr|patroni|vacuumdb|reindexdb|clusterdb|bucardo|debezium|flyway|liquibase";

// White space, opening parentheses and comments. A comment with another one inside it matches nothing: which of the
// two ends first decides what the statement is, so such a query is left alone.
const beforeFirstWord = String.raw`(\s|\(|--[^\n\r]*[\n\r]|/\*([^*/]|\*(?!/)|/(?!\*))*\*/)*`;

/**
 * A condition on `a`, a row of pg_stat_activity, and `r`, its row of pg_roles. `$1` are the allowed users and `$2` the
 * allowed databases, both `text[]`.
 */
export const cancellable = guard("a.state = 'active'", firstWords);

/** The same of sessions that sit idle in a transaction, which cannot be cancelled. */
export const idleInTransaction = guard(
  "a.state IN ('idle in transaction', 'idle in transaction (aborted)')",
  idleWords,
);

function guard(state: string, words: string): string {
  return `
      a.backend_type = 'client backend'
  AND ${state}
  AND a.usename::text = ANY($1::text[])
  AND a.datname::text = ANY($2::text[])
  AND a.pid <> pg_backend_pid()
  AND a.leader_pid IS NULL
  AND NOT r.rolsuper
  AND NOT r.rolreplication
  AND a.application_name !~* '^(${programs})'
  -- The plain patterns come first: of hundreds of sessions hardly one needs the others, which take much longer.
  AND (a.query ~* '^(${words})\\M' OR a.query ~* '^${beforeFirstWord}(${words})\\M')
  -- A text that was cut (between two characters, so up to three bytes early) does not show all of its statements.
  AND (strpos(a.query, ';') = 0 OR (
        a.query !~* ';.*\\m(${laterWords})\\M'
    AND octet_length(a.query) < (SELECT s.setting::int - 4 FROM pg_settings s WHERE s.name = 'track_activity_query_size')))
  AND (strpos(lower(a.query), 'backup') = 0
    OR a.query !~* '\\mpg_(start_backup|stop_backup|backup_start|backup_stop)\\M')
  -- Cancelling a commit that waits for its replica would not undo it, only lose the wait.
  AND a.wait_event IS DISTINCT FROM 'SyncRep'
  -- Read once for all sessions, however many there are. A prepared transaction's lock has no pid.
  AND a.pid <> ALL (ARRAY(SELECT s.active_pid FROM pg_replication_slots s WHERE s.active_pid IS NOT NULL))
  AND a.pid <> ALL (ARRAY(
    SELECT s.pid FROM pg_stat_progress_vacuum s
    UNION ALL SELECT s.pid FROM pg_stat_progress_analyze s
    UNION ALL SELECT s.pid FROM pg_stat_progress_cluster s
    UNION ALL SELECT s.pid FROM pg_stat_progress_create_index s
    UNION ALL SELECT s.pid FROM pg_stat_progress_basebackup s
    UNION ALL SELECT s.pid FROM pg_stat_progress_copy s))
  -- The locks of maintenance and migrations, held or waited for, which may run inside a function or an open
  -- transaction. Queries and changes of rows take none of them. A table made or truncated in the same transaction is
  -- locked so too, even a temporary one: whose it is cannot be told from another database.
  AND a.pid <> ALL (ARRAY(
    SELECT l.pid FROM pg_locks l WHERE l.pid IS NOT NULL AND l.locktype = 'relation'
      AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                     'AccessExclusiveLock')))`;
}
