/** A real database to heal, for tests of the whole service: sessions of an application, and the playbook that cancels their queries. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { query, sharedPostgres } from "./postgres.ts";
import type { ServiceTarget } from "./service.ts";

export interface SickDatabase extends Patient {
  /** As the configuration names it. */
  readonly asTarget: ServiceTarget;
  /** Makes `SELECT stubborn(seconds)`, a query that ignores being cancelled for that long. */
  addStubborn(): Promise<void>;
}

/** A fresh database on the shared server; the label `service` selects it by `name`. */
export async function createSickDatabase(name: string): Promise<SickDatabase> {
  const server = await sharedPostgres();
  const patient = await createPatient(server);
  const { postgres } = patient.target;
  if (!postgres) throw new Error("the patient has no database");
  return {
    ...patient,
    asTarget: { labels: { service: [name] }, postgres },
    addStubborn: async () => {
      await query(
        server.url,
        `CREATE FUNCTION stubborn(seconds float8) RETURNS void LANGUAGE plpgsql AS $$
         BEGIN
           WHILE clock_timestamp() < statement_timestamp() + make_interval(secs => seconds) LOOP
             BEGIN
               PERFORM pg_sleep(0.05);
             EXCEPTION WHEN query_canceled THEN NULL;
             END;
           END LOOP;
         END $$`,
      );
    },
  };
}

/** The shipped playbook with seconds in place of minutes, for a database without an application to ask. */
export async function impatientOverloadPlaybook(): Promise<string> {
  const shipped = await readFile(join(__dirname, "../../playbooks/database-overload.yaml"), "utf8");
  const playbook = parse(shipped.replaceAll("300", "1").replaceAll("within: 2m", "within: 10s"));
  const verify = playbook.verify.filter((check: { do: string }) => check.do !== "http.get");
  return stringify({ ...playbook, verify });
}
