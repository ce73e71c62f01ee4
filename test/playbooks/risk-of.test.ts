// biome-ignore-all lint/suspicious/noTemplateCurlyInString: so are expressions written in playbooks

import { postgresActions } from "../../src/actions/postgres/postgres-actions.ts";
import { loadPlaybooks } from "../../src/playbooks/load.ts";
import { world } from "./actions.ts";

const withPostgres: typeof world = {
  ...world,
  actions: new Map(postgresActions.map((action) => [action.name, action])),
};

function loaded(step: string) {
  const text = `name: tidy
summary: Tidies up.
target: youtility3
on:
  request: true
  inputs: { full: boolean }
steps:
  - { id: one, ${step} }
verify:
  - { do: postgres.invalid-indexes, expect: output.count == 0 }
escalate: database
`;
  return loadPlaybooks([{ file: "tidy.yaml", text }], withPostgres);
}

test.each([
  ["do: postgres.vacuum", "low"],
  ["do: postgres.vacuum, with: { tables: [item], full: false }", "low"],
  ["do: postgres.vacuum, with: { tables: [item], full: true }", "irreversible"],
  ["do: postgres.vacuum, with: { tables: [item], full: '${{ inputs.full }}' }", "irreversible"],
  ["do: postgres.restore, with: { backup: shop-0001 }", "irreversible"],
  ["do: postgres.restore, with: { backup: shop-0001, swap: false }", "high"],
])("{ %s } is a step of risk %s", (step, risk) => {
  const { playbooks, problems } = loaded(step);
  expect(problems).toEqual([]);
  expect(playbooks[0]?.playbook.steps[0]).toMatchObject({ kind: "change", risk });
});

test("approval: never is refused for what could become irreversible, and only for that", () => {
  const full = "do: postgres.vacuum, with: { tables: [item], full: '${{ inputs.full }}' }, approval: never";
  expect(loaded(full).problems.map(({ message }) => message)).toEqual([expect.stringContaining("cannot be undone")]);
  expect(loaded("do: postgres.vacuum, approval: never").problems).toEqual([]);
});
