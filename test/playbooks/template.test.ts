// biome-ignore-all lint/suspicious/noTemplateCurlyInString: so are expressions written in playbooks

import type { JsonObject } from "../../src/domain/json.ts";
import type { ValueType } from "../../src/playbooks/cel-types.ts";
import type { Scope, Values } from "../../src/playbooks/expression.ts";
import { compileTemplate } from "../../src/playbooks/template.ts";
import { actions } from "./actions.ts";

const scope: Scope = {
  place: "with",
  steps: new Map<string, ValueType>([
    [
      "seen",
      {
        kind: "object",
        fields: new Map([
          ["seconds", { kind: "double" }],
          ["name", { kind: "string" }],
        ]),
      },
    ],
    ["change", { kind: "dyn" }],
  ]),
  laterSteps: new Set(),
  inputs: { minutes: { type: "integer", description: null, default: 5, required: false } },
  output: null,
};

const values: Values = {
  steps: { seen: { seconds: 400, name: "app" }, change: { count: 7, users: ["a", "b"] } },
  inputs: { minutes: 5 },
  labels: {},
  annotations: {},
  target: null,
};

function compile(template: JsonObject, action = "postgres.cancel-queries") {
  const found = actions.get(action);
  if (!found) throw new Error(`no action ${action}`);
  return compileTemplate(template, scope, found.input);
}

function inputOf(template: JsonObject) {
  const compiled = compile(template);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.input(values);
}

function problemsOf(template: JsonObject, action?: string) {
  const compiled = compile(template, action);
  return compiled.ok ? [] : compiled.problems.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

test("literal values and expressions become the action's input, with the schema's defaults", () => {
  expect(inputOf({ olderThanSeconds: 300 })).toEqual({ ok: true, input: { olderThanSeconds: 300, atMost: 20 } });
  expect(inputOf({ olderThanSeconds: "${{ inputs.minutes * 60 }}", users: ["x", "${{steps.seen.name}}"] })).toEqual({
    ok: true,
    input: { olderThanSeconds: 300, atMost: 20, users: ["x", "app"] },
  });
  expect(inputOf({ olderThanSeconds: 1, users: "${{ steps.change.users }}" })).toMatchObject({
    ok: true,
    input: { users: ["a", "b"] },
  });
});

test.each<[JsonObject, string]>([
  [{}, "olderThanSeconds: input 'olderThanSeconds' is missing"],
  [
    { olderThanSeconds: "300" },
    "olderThanSeconds: input 'olderThanSeconds': Invalid input: expected number, received string",
  ],
  [{ olderThanSeconds: 0 }, "olderThanSeconds: input 'olderThanSeconds': Too small"],
  [{ olderThanSeconds: 1, atmost: 3 }, "atmost: unknown input 'atmost'; did you mean atMost?"],
  [{ olderThanSeconds: 1, users: ["a", 2] }, "users.1: input 'users.1': Invalid input: expected string"],
  [
    { olderThanSeconds: "${{ steps.seen.name }}" },
    "olderThanSeconds: the action takes number here, the expression gives string",
  ],
  [{ olderThanSeconds: 1, users: ["${{ 1 }}"] }, "users.0: the action takes string here, the expression gives number"],
  [{ olderThanSeconds: 1, users: "${{ 'a' }}" }, "users: the action takes array here, the expression gives string"],
  [{ olderThanSeconds: "x ${{ 1 }}" }, "olderThanSeconds: ${{ … }} must be the whole value"],
  [{ olderThanSeconds: "${{ 1 }}${{ 2 }}" }, "olderThanSeconds: ${{ … }} must be the whole value"],
  [{ olderThanSeconds: "${{ 1 }" }, "olderThanSeconds: ${{ … }} must be the whole value"],
  [{ olderThanSeconds: 1, "${{ 'atMost' }}": 1 }, "${{ 'atMost' }}: a key cannot be an expression"],
  [{ olderThanSeconds: "${{ labels.seconds }}" }, "olderThanSeconds: labels cannot be used in with"],
  [{ olderThanSeconds: "${{ steps.nope.x }}" }, "olderThanSeconds: there is no step 'nope'"],
])("%j is refused: %s", (template, problem) => {
  expect(problemsOf(template)).toContainEqual(expect.stringContaining(problem));
});

test("every problem is reported once", () => {
  expect(problemsOf({ olderThanSeconds: "x", atMost: "${{ labels.a }}", foo: 1 })).toHaveLength(3);
});

test("an action whose schema is not strict takes no unknown input either", () => {
  expect(problemsOf({ path: "/x", verb: "POST" }, "http.get")).toEqual(["verb: unknown input 'verb'; there are: path"]);
  expect(problemsOf({ x: 1 }, "postgres.activity")).toEqual(["x: unknown input 'x'; this action takes none"]);
});

test("what an expression gives is checked by the schema again", () => {
  expect(inputOf({ olderThanSeconds: "${{ steps.seen.seconds - 400 }}" })).toEqual({
    ok: false,
    error: expect.stringContaining("the action does not take this input: input 'olderThanSeconds': Too small"),
  });
  expect(inputOf({ olderThanSeconds: 1, atMost: "${{ steps.change.users }}" })).toMatchObject({ ok: false });
});

test("an expression that has no value says which and why", () => {
  const compiled = compile({ olderThanSeconds: "${{ steps.seen.seconds }}" });
  if (!compiled.ok) throw new Error("refused");
  expect(compiled.input({ ...values, steps: {} })).toEqual({
    ok: false,
    error: "with.olderThanSeconds: step 'seen' has no output; guard with has(steps.seen)",
  });
});
