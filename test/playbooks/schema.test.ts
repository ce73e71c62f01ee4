import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { createActions } from "../../src/actions/registry.ts";
import { loadPlaybooks } from "../../src/playbooks/load.ts";
import { playbookJsonSchema, playbookSchema } from "../../src/playbooks/schema.ts";
import { world as testWorld } from "./actions.ts";

const folder = join(__dirname, "../../playbooks");
const published = join(folder, "playbook.schema.json");
const shipped = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

test("the published JSON Schema is the current one; UPDATE=1 writes it anew", () => {
  const current = `${JSON.stringify(playbookJsonSchema(), null, 2)}\n`;
  if (process.env["UPDATE"] === "1") writeFileSync(published, current);
  expect(readFileSync(published, "utf8")).toBe(current);
});

test("the JSON Schema knows every field, describes it and allows no other", () => {
  const schema = playbookJsonSchema() as { properties: Record<string, { description?: string }> };
  expect(schema).toMatchObject({
    type: "object",
    additionalProperties: false,
    required: ["name", "summary", "on", "steps"],
  });
  expect(Object.keys(schema.properties)).toEqual(Object.keys(playbookSchema.shape));
  expect(JSON.stringify(schema)).toContain('"by-risk"');
});

test("there are shipped playbooks", () => {
  expect(shipped).toContain("database-overload.yaml");
});

test.each(shipped)("%s loads with the actions that ship, without a warning, and fits the JSON Schema", (name) => {
  const text = readFileSync(join(folder, name), "utf8");
  const world = {
    ...testWorld,
    actions: createActions({ prometheusUrl: null }),
    policies: ["application", "database"],
    contacts: ["monitoring", "paging", "dba", "infrastructure"],
  };
  const { playbooks, problems } = loadPlaybooks([{ file: name, text }], world);
  expect(problems).toEqual([]);
  expect(playbooks).toHaveLength(1);
  expect(playbookSchema.safeParse(parse(text)).success).toBe(true);
  expect(text).toContain("yaml-language-server: $schema=./playbook.schema.json");
});
