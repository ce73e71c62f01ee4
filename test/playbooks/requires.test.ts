/** What the inputs of a request must be together: refused at the gate that every door comes through. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createActions } from "../../src/actions/registry.ts";
import type { JsonObject } from "../../src/domain/json.ts";
import { loadPlaybooks } from "../../src/playbooks/load.ts";
import { createRequestRun } from "../../src/playbooks/request.ts";
import { world as testWorld } from "./actions.ts";

const file = "database-rollback.yaml";
const text = readFileSync(join(__dirname, "../../playbooks", file), "utf8");
const world = {
  ...testWorld,
  actions: createActions({ prometheusUrl: null }),
  policies: ["database"],
  contacts: ["monitoring", "dba"],
};
const loaded = loadPlaybooks([{ file, text }], world);

async function ask(inputs: JsonObject) {
  const requestRun = createRequestRun({
    playbooks: loaded.playbooks.map(({ playbook }) => playbook),
    targets: [{ name: "youtility3" }],
    store: { create: async ({ id }) => ({ id, created: true }), known: async () => null },
    hint: () => {},
    newId: () => "a-run",
    now: Date.now,
    log: { info: () => {} },
  });
  const wanted = { playbook: "database-rollback", target: "youtility3", reason: "a test", dryRun: false };
  return requestRun({ ...wanted, inputs, by: "api:tests", idempotencyKey: null });
}

test.each<JsonObject>([{ app: "tickets", migration: "0007" }, { backup: "monday.dump" }])(
  "a rollback to %j is one",
  async (inputs) => {
    expect(loaded.problems).toEqual([]);
    expect(await ask(inputs)).toMatchObject({ kind: "created", run: { inputs } });
  },
);

test.each<JsonObject>([
  {},
  { app: "tickets" },
  { migration: "0007" },
  { app: "tickets", backup: "monday.dump" },
  { app: "tickets", migration: "0007", backup: "monday.dump" },
])("half a rollback, or two at once, is refused with what it takes: %j", async (inputs) => {
  expect(await ask(inputs)).toEqual({
    kind: "invalid",
    problems: [
      {
        field: "inputs",
        message:
          "app, migration, backup do not go together like this: the playbook requires " +
          "has(inputs.app) == has(inputs.migration) && has(inputs.app) != has(inputs.backup)",
      },
    ],
  });
});
