import type { Playbook } from "../../src/domain/playbook.ts";
import { checkInputs } from "../../src/playbooks/inputs.ts";
import { compilePlaybook } from "../../src/playbooks/load.ts";
import { world } from "./actions.ts";

function playbookWith(on: string): Playbook {
  const text = `name: p\nsummary: S.\non: ${on}\nsteps: [{ id: a, do: postgres.activity }]\n`;
  const compiled = compilePlaybook(text, world);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.loaded.playbook;
}

const playbook = playbookWith(
  "{ request: true, inputs: { unit: string, minutes: { type: integer, default: 5 }, ratio: { type: number, required: false }, force: { type: boolean, required: false } } }",
);

test("defaults are filled in, and what is neither required nor given stays absent", () => {
  expect(checkInputs(playbook, { unit: "u" })).toEqual({ ok: true, inputs: { unit: "u", minutes: 5 } });
  expect(checkInputs(playbook, { unit: "u", minutes: 0, ratio: 0.5, force: false })).toEqual({
    ok: true,
    inputs: { unit: "u", minutes: 0, ratio: 0.5, force: false },
  });
});

test.each<[unknown, string, string]>([
  [{}, "unit", "is missing"],
  [{ unit: 1 }, "unit", "must be a string"],
  [{ unit: null }, "unit", "must be a string"],
  [{ unit: "x".repeat(1_001) }, "unit", "longer than 1000 characters"],
  [{ unit: "u", minutes: 1.5 }, "minutes", "must be a whole number"],
  [{ unit: "u", minutes: "5" }, "minutes", "must be a whole number"],
  [{ unit: "u", minutes: null }, "minutes", "must be a whole number"],
  [{ unit: "u", ratio: Number.NaN }, "ratio", "must be a number"],
  [{ unit: "u", force: "yes" }, "force", "must be true or false"],
  [{ unit: "u", minute: 5 }, "minute", "unknown input 'minute'; did you mean minutes?"],
  [JSON.parse('{"unit": "u", "__proto__": 1}'), "__proto__", "unknown input '__proto__'"],
  [[], "inputs", "must be an object"],
  [null, "inputs", "must be an object"],
  ["unit", "inputs", "must be an object"],
])("%j is refused: %s %s", (given, field, message) => {
  expect(checkInputs(playbook, given)).toEqual({
    ok: false,
    problems: [{ field, message: expect.stringContaining(message) }],
  });
});

test("every field at fault is named", () => {
  const checked = checkInputs(playbook, { minutes: "x", foo: 1 });
  expect(checked.ok ? [] : checked.problems.map(({ field }) => field)).toEqual(["foo", "unit", "minutes"]);
});

const unknownInputs = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`unit${index}`, 1]));

test("of very many problems twenty are named, and the last says how many more there are", () => {
  const checked = checkInputs(playbook, unknownInputs(110_000));
  const problems = checked.ok ? [] : checked.problems;
  expect(problems).toHaveLength(20);
  expect(problems[18]?.field).toBe("unit18");
  // One more than the unknown ones: the input that is missing.
  expect(problems[19]).toEqual({ field: "inputs", message: "there are 109982 more problems; correct these first" });
  expect(problems.filter(({ message }) => message.includes("did you mean"))).toHaveLength(5);
});

test.each([
  [20, 20, "unknown input 'unit19'"],
  [21, 20, "there are 2 more problems; correct these first"],
])("of %i problems %i are answered", (given, answered, last) => {
  const checked = checkInputs(playbook, { unit: "u", ...unknownInputs(given) });
  const problems = checked.ok ? [] : checked.problems;
  expect(problems).toHaveLength(answered);
  expect(problems.at(-1)?.message).toBe(last);
});

test("a very long name is not repeated in full", () => {
  const checked = checkInputs(playbook, { unit: "u", ["x".repeat(100_000)]: 1 });
  expect(JSON.stringify(checked).length).toBeLessThan(1_000);
});

test("a playbook that only alerts start takes no request", () => {
  expect(checkInputs(playbookWith("{ alerts: ['a=\"b\"'] }"), {})).toEqual({
    ok: false,
    problems: [{ field: "playbook", message: "playbook 'p' cannot be started by a request" }],
  });
});
