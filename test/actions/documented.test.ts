import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { actionTable } from "../support/action-table.ts";

const page = join(__dirname, "../../docs/actions.md");

test("docs/actions.md has every action as the registry has it", () => {
  if (process.env["UPDATE"] === "1") writeFileSync(page, actionTable());
  expect(readFileSync(page, "utf8")).toBe(actionTable());
});
