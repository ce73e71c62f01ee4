/** A database whose rows are the effects of counting actions (crash-at.mjs), and the targets and playbooks that use them. */

import { query, sharedPostgres } from "./postgres.ts";
import type { ServiceTarget } from "./service.ts";

/** What was done to the targets of one test, counted where no crash of Paramedic can change it. */
export interface Ward {
  /** The database in which effects are counted; another one than Paramedic's own. */
  readonly url: string;
  /** Targets named w1, w2, …; the label `service` selects them by their name. */
  targets(count: number, host?: string): Readonly<Record<string, ServiceTarget>>;
  /** The processes that took an effect on the target, in order. */
  effects(target?: string): Promise<readonly number[]>;
  /** The processes that began an apply on the target, in order. */
  applies(target?: string): Promise<readonly number[]>;
  /** The processes that were told to stop while they applied, in order. */
  aborts(target?: string): Promise<readonly number[]>;
  /** The marks that were left on the target and by which processes, in order. */
  touches(target?: string): Promise<readonly { readonly mark: string; readonly pid: number }[]>;
  /** The beds to which the target was moved, there and back, in order. */
  moves(target?: string): Promise<readonly string[]>;
}

export async function createWard(url?: string): Promise<Ward> {
  const counted = url ?? (await sharedPostgres()).url;
  await query(
    counted,
    `CREATE TABLE effects (id serial, target text NOT NULL, pid int NOT NULL, at timestamptz DEFAULT clock_timestamp());
     CREATE TABLE applies (LIKE effects INCLUDING ALL);
     CREATE TABLE aborts (LIKE effects INCLUDING ALL);
     CREATE TABLE naps (LIKE effects INCLUDING ALL);
     CREATE TABLE touches (LIKE effects INCLUDING ALL, mark text NOT NULL);
     CREATE TABLE moves (LIKE effects INCLUDING ALL, bed text NOT NULL)`,
  );
  const pids = async (table: string, target: string | undefined) => {
    const rows = await query(counted, `SELECT pid FROM ${table} WHERE $1::text IS NULL OR target = $1 ORDER BY id`, [
      target ?? null,
    ]);
    return rows.map(({ pid }) => pid as number);
  };
  return {
    url: counted,
    targets: (count, host) => {
      const postgres = { url: counted, users: ["nobody"], databases: ["none"] };
      const names = Array.from({ length: count }, (_, index) => `w${index + 1}`);
      return Object.fromEntries(
        names.map((name) => [name, { labels: { service: [name] }, postgres, ...(host && { host }) }]),
      );
    },
    effects: (target) => pids("effects", target),
    applies: (target) => pids("applies", target),
    aborts: (target) => pids("aborts", target),
    touches: async (target) => {
      const of = "SELECT mark, pid FROM touches WHERE $1::text IS NULL OR target = $1 ORDER BY id";
      return (await query(counted, of, [target ?? null])).map(({ mark, pid }) => ({
        mark: mark as string,
        pid: pid as number,
      }));
    },
    moves: async (target) => {
      const of = "SELECT bed FROM moves WHERE $1::text IS NULL OR target = $1 ORDER BY id";
      return (await query(counted, of, [target ?? null])).map(({ bed }) => bed as string);
    },
  };
}

/** Looks, heals by `heal` where the patient is sick, and verifies. Answers the alert named like the playbook. */
export function wardPlaybook(
  name: string,
  options: { readonly heal?: string; readonly step?: string; readonly extra?: string } = {},
): string {
  return [
    `name: ${name}`,
    "summary: Heal the patient.",
    `on: { alerts: ['alertname="${name}"'] }`,
    "target: { label: service }",
    options.extra ?? "",
    "steps:",
    "  - { id: look, do: ward.look }",
    `  - { id: heal, if: steps.look.sick, do: ${options.heal ?? "ward.heal"}${options.step ? `, ${options.step}` : ""} }`,
    "verify:",
    "  - { do: ward.look, expect: '!output.sick', within: 2s, every: 1s }",
  ].join("\n");
}
