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
  readonly line: string;
  readonly doneBy: readonly (readonly [playbook: string, part: string])[];
  readonly how: string;
}

const rows = readFileSync(join(root, "docs/runbook.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("|") && !/^\| (on the page|-+) /.test(line))
  .map((line): Row => {
    const [, onPage = "", doneBy = "", how = ""] = line.split("|").map((cell) => cell.trim());
    const parts = [...doneBy.matchAll(/`([a-z0-9-]+)\/([A-Za-z0-9_-]+)`/g)];
    return { line: onPage, doneBy: parts.map(([, name, part]) => [name as string, part as string]), how };
  });

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
