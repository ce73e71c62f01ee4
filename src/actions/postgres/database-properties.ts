/** What belongs to a database and not to what is in it: its settings, privileges and limit. An archive does not hold these. */

import type { Failure } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import type { Query, Session } from "./connect.ts";
import { shorten } from "./query-text.ts";

interface Setting {
  /** Null: of the database, for every role. */
  readonly role: string | null;
  readonly become: string | null;
  readonly name: string;
  readonly value: string;
  readonly statement: string;
  /** Whether Paramedic's role may give it to another database. */
  readonly given: boolean;
}

/** What the database that is put in the place of `database` will lack, one line each, for people. */
export async function lostProperties(query: Query, database: string): Promise<readonly string[]> {
  const settings = await settingsOf(query, database, database);
  const [tablespace] = await query<{ name: string }>(
    `SELECT t.spcname::text AS name FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
      WHERE d.datname = $1 AND t.spcname <> 'pg_default' AND NOT has_tablespace_privilege(t.oid, 'CREATE')`,
    [database],
  );
  return [
    ...settings
      .filter(({ given }) => !given)
      .map(
        ({ role, name }) =>
          `leave out the setting ${shorten(name, 63)} of the role ${shorten(role ?? "", 63)} in ${database}, which Paramedic's role may not make: have it made afterwards`,
      ),
    ...(tablespace
      ? [
          `keep it in the server's own tablespace: Paramedic's role may not create in ${shorten(tablespace.name, 63)}, where ${database} is`,
        ]
      : []),
  ];
}

/** Gives `to` what `from` has of its own. Null, or the Failure where something cannot be given; then nothing was. */
export async function copyProperties(
  query: Query,
  session: Session,
  from: string,
  to: string,
): Promise<Failure | null> {
  const settings = await settingsOf(query, from, to);
  const others = await query<{ statement: string }>(
    `SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', $2::text, datconnlimit) AS statement
       FROM pg_database WHERE datname = $1
      UNION ALL
     SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $2::text) FROM pg_database
      WHERE datname = $1 AND datacl IS NOT NULL
      UNION ALL
     SELECT format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, $2::text,
                   CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(a.grantee)) END,
                   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
       FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = $1 AND a.grantee <> d.datdba`,
    [from, to],
  );
  await query("BEGIN");
  for (const setting of settings.filter(({ given }) => given)) {
    const refusal = await give(query, session, setting);
    if (refusal !== null) return refused(query, refusal, `setting ${setting.name}`);
  }
  for (const { statement } of others) {
    const done = await session.attempt(statement);
    if (!done.ok) return refused(query, done.sqlState, "privilege or connection limit");
  }
  await query("COMMIT");
  return null;
}

/** The SQLSTATE by which the server refuses it; null: it is given. A role gives itself what is its own. */
async function give(
  query: Query,
  session: Session,
  { become, name, value, statement }: Setting,
): Promise<string | null> {
  const steps = [
    ...(become === null ? [] : [() => session.attempt(become)]),
    () => session.attempt("SELECT set_config($1, $2, true)", [name, value]),
    () => session.attempt(statement),
  ];
  for (const step of steps) {
    const done = await step();
    if (!done.ok) return done.sqlState;
  }
  if (become !== null) await query("RESET ROLE");
  return null;
}

function settingsOf(query: Query, from: string, to: string): Promise<Setting[]> {
  return query<Setting>(
    `SELECT r.rolname::text AS role, 'SET LOCAL ROLE ' || quote_ident(r.rolname) AS become, p.name, p.value,
            CASE WHEN r.oid IS NULL AND p.name = 'default_transaction_read_only'
                 -- postgres.read-only knows its own work by the spelling, which FROM CURRENT would not keep.
                 THEN format('ALTER DATABASE %I SET default_transaction_read_only = %L', $2::text, p.value)
                 ELSE CASE WHEN r.oid IS NULL THEN format('ALTER DATABASE %I', $2::text)
                           ELSE format('ALTER ROLE %I IN DATABASE %I', r.rolname, $2::text) END
                      || format(' SET %s FROM CURRENT', (SELECT string_agg(format('%I', part), '.' ORDER BY o)
                           FROM unnest(string_to_array(p.name, '.')) WITH ORDINALITY u (part, o)))
            END AS statement,
            r.oid IS NULL OR (pg_has_role(r.oid, 'MEMBER') AND coalesce(g.context NOT LIKE 'superuser%', true)) AS given
       FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole,
            unnest(s.setconfig) AS pair,
            LATERAL (SELECT split_part(pair, '=', 1) AS name, substr(pair, strpos(pair, '=') + 1) AS value) p
            LEFT JOIN pg_settings g ON g.name = p.name
      WHERE d.datname = $1 ORDER BY 1 NULLS FIRST, p.name`,
    [from, to],
  );
}

async function refused(query: Query, sqlState: string, what: string): Promise<Failure> {
  await query("ROLLBACK");
  return lasting(
    `A ${what} of the old database cannot be given to the restored one (SQLSTATE ${sqlState}). Check the role's rights.`,
  );
}
