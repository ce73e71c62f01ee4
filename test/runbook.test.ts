/** Holds docs/runbook.md to the playbooks that ship: what it names exists, what ships is named, and what it says of approvals is so. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createActions } from "../src/actions/registry.ts";
import type { Step } from "../src/domain/playbook.ts";
import { loadPlaybooks } from "../src/playbooks/load.ts";
import { world } from "./playbooks/actions.ts";

const root = join(__dirname, "..");
const folder = join(root, "playbooks");
const names = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
const { playbooks, problems } = loadPlaybooks(
  names.map((file) => ({ file, text: readFileSync(join(folder, file), "utf8") })),
  {
    ...world,
    actions: createActions({ prometheusUrl: null }),
    policies: ["application", "database"],
    contacts: ["monitoring", "paging", "dba", "infrastructure"],
  },
);
const byName = new Map(playbooks.map(({ playbook }) => [playbook.name, playbook]));

interface Row {
  /** The heading above it. */
  readonly section: string;
  readonly line: string;
  readonly doneBy: readonly (readonly [playbook: string, part: string])[];
  readonly how: string;
}

let section = "";
const rows = readFileSync(join(root, "docs/runbook.md"), "utf8")
  .split("\n")
  .flatMap((line): readonly Row[] => {
    section = /^##+ (.*)/.exec(line)?.[1] ?? section;
    if (!line.startsWith("|") || /^\| (on the page|-+) /.test(line)) return [];
    const [, onPage = "", doneBy = "", how = ""] = line.split("|").map((cell) => cell.trim());
    const parts = [...doneBy.matchAll(/`([a-z0-9-]+)\/([A-Za-z0-9_-]+)`/g)];
    return [{ section, line: onPage, doneBy: parts.map(([, name, part]) => [name as string, part as string]), how }];
  });

/** What is on the page, section by section: the numbered lines, and what stands beside them. */
const page: Readonly<Record<string, readonly RegExp[]>> = {
  "System overview": [/components/, /key metrics/, /response time/, /query time/, /cache hit rate/, /error rate/],
  "High response time": [
    ...[/severity.*PagerDuty above 2 s/, /^1\..*alert/, /^2\..*database/, /^3\..*cache/, /^4\..*endpoints/],
    ...[/^5\..*cache time-out/, /^5\..*restart/, /^6\..*slow queries.*indexes/, /^6\..*patterns of queries/],
  ],
  "Slow database queries": [
    ...[/severity.*mail, Slack/, /^1\..*slow queries/, /^2\..*plan/, /^3\..*ORM/, /^4\..*cache/, /^5\..*index/],
  ],
  "High error rate": [
    ...[
      /severity.*PagerDuty/,
      /^1\..*logs/,
      /^2\..*pattern/,
      /^3\..*database/,
      /^3\..*ORM/,
      /^3\..*cache/,
      /^4\..*rollback/,
    ],
  ],
  "Low cache hit rate": [/severity.*mail, Slack/, /^1\..*statistics/, /^2\..*misses/, /^3\..*trees.*reports/],
  "Sudden performance degradation": [
    ...[/symptoms/, /^1\..*statistics/, /^1\..*bloat/, /^2\..*vacuum/, /^2\..*rebuild indexes/],
  ],
  "Memory usage growing": [/symptoms/, /^1\..*metrics/, /^2\..*old metrics/, /^3\..*restart/],
  "Cache invalidation not working": [
    ...[/symptoms/, /^1\..*everything/, /^1\..*pattern/, /^2\..*settings/, /^2\..*test the cache/],
  ],
  "Performance troubleshooting": [
    ...[/^Step 1.*endpoints.*queries/, /^Step 1.*hit rate/, /^Step 2.*indexes/, /^Step 2.*statements/, /^Step 3/],
  ],
  "Database overload": [/^1\..*read-only/, /^2\..*long queries/, /^3\..*replica/],
  "Application crash loop": [/^1\..*100 lines/, /^2\..*safe mode/, /^2\..*start/, /^3\..*imports/],
  "Code rollback": [/tag before.*check it out/, /dependencies/, /migrations/, /cache/, /restart application and proxy/],
  "Database rollback": [/restore from a backup/, /migration back/],
  "Daily checks": [/health/, /performance/, /alerts/, /200 ms/],
  "Weekly analysis": [/response time/, /query performance/, /cache hit rate/, /error rate/, /warning/],
  "Daily maintenance": [/02:00/, /statistics/, /old logs/, /disk space/],
  "Weekly maintenance": [/03:00.*window/, /full vacuum/, /rebuild indexes/, /back the database up/, /archive metrics/],
  "Monthly maintenance": [/review of indexes/, /update of indexes/, /baseline/, /capacity/],
  "Contacts and announcements": [
    ...[/L1, L2, L3/, /support: database/, /support: infrastructure/, /support: security/, /guides/, /announce/],
  ],
};

const asks = (step: Step) =>
  step.kind === "change" &&
  (step.risk === "irreversible" || step.approval === "always" || (step.approval === "by-risk" && step.risk === "high"));

const stepsOf = ({ doneBy }: Row) =>
  doneBy.flatMap(([name, part]) => byName.get(name)?.steps.filter(({ id }) => id === part) ?? []);

/** The parts of a playbook that are no step, where it has them. */
function otherParts(name: string): readonly string[] {
  const playbook = byName.get(name);
  if (!playbook) return [];
  const { verify, notify, escalate } = playbook;
  return [verify.length > 0 && "verify", notify.length > 0 && "notify", escalate && "escalate"].filter(
    (part) => typeof part === "string",
  );
}

test("every shipped playbook is in order and named", () => {
  expect(problems).toEqual([]);
  expect(rows.length).toBeGreaterThan(70);
  const named = new Set(rows.flatMap(({ doneBy }) => doneBy.map(([name]) => name)));
  expect([...named].sort()).toEqual([...byName.keys()].sort());
});

test.each(Object.entries(page))("%s: each line of the page has its row", (name, lines) => {
  const under = rows.filter((row) => row.section === name).map(({ line }) => line);
  expect(lines.filter((line) => !under.some((one) => line.test(one)))).toEqual([]);
});

test("no section is left out of the comparison", () => {
  expect([...new Set(rows.map((row) => row.section))].sort()).toEqual(Object.keys(page).sort());
});

test("every change of a playbook is announced before it is made", () => {
  const unannounced = [...byName.values()].filter(
    ({ announce, steps }) => announce === "never" && steps.some((step) => step.kind === "change" && !step.tells),
  );
  expect(unannounced.map(({ name }) => name)).toEqual([]);
  const planned = ["code-rollback", "database-rollback", "weekly-maintenance"];
  expect(planned.map((name) => byName.get(name)?.announce)).toEqual(["before", "before", "before"]);
});

test("every step and part that is named exists", () => {
  const unknown = rows.flatMap((row) =>
    row.doneBy
      .filter(
        ([name, part]) => ![...(byName.get(name)?.steps.map(({ id }) => id) ?? []), ...otherParts(name)].includes(part),
      )
      .map(([name, part]) => `${row.line}: ${name}/${part}`),
  );
  expect(unknown).toEqual([]);
});

test("every step that changes something is named", () => {
  const named = new Set(rows.flatMap(({ doneBy }) => doneBy.map(([name, part]) => `${name}/${part}`)));
  const changing = [...byName.values()].flatMap(({ name, steps }) =>
    steps.filter(({ kind }) => kind === "change").map(({ id }) => `${name}/${id}`),
  );
  expect(changing.filter((step) => !named.has(step))).toEqual([]);
});

test.each(rows)("$line: who decides is said, and is so", (row) => {
  expect(row.how).toMatch(/^(by itself|asks|people)\b/);
  if (row.how.startsWith("people")) {
    expect(stepsOf(row).filter(({ kind }) => kind === "change")).toEqual([]);
    return;
  }
  expect(row.doneBy).not.toEqual([]);
  if (row.how.startsWith("asks")) expect(stepsOf(row).filter(asks)).toEqual(stepsOf(row));
  else
    expect(
      stepsOf(row)
        .filter(asks)
        .map(({ id }) => id),
    ).toEqual([]);
  const two = /^asks two people/.test(row.how) ? row.doneBy : [];
  expect(two.map(([name]) => [name, byName.get(name)?.approvals.atLeast])).toEqual(two.map(([name]) => [name, 2]));
});
