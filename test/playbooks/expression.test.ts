import type { Json } from "../../src/domain/json.ts";
import { jsonSchemaOf, type ValueType, valueTypeOf } from "../../src/playbooks/cel-types.ts";
import {
  compileCondition,
  compileExpression,
  compileText,
  type Scope,
  type Values,
} from "../../src/playbooks/expression.ts";
import { actions } from "./actions.ts";

const activity = actions.get("postgres.activity");
const activityType = valueTypeOf(jsonSchemaOf(activity?.kind === "observe" ? activity.output : null, "output"));

const scope: Scope = {
  place: "condition",
  steps: new Map<string, ValueType>([
    ["activity", activityType],
    ["absent", activityType],
    ["change", { kind: "dyn" }],
    ["gone", { kind: "dyn" }],
  ]),
  laterSteps: new Set(["later"]),
  inputs: {
    minutes: { type: "integer", description: null, default: null, required: true },
    who: { type: "string", description: null, default: null, required: false },
  },
  output: null,
};

const seen: Json = {
  connections: 90,
  longestSeconds: 300.5,
  state: "busy",
  databases: ["app", "toString"],
  byUser: { app: 3, __proto__x: 1 },
  blockers: [
    { pid: 1, seconds: 2.5 },
    { pid: 2, seconds: 40 },
  ],
  note: null,
  healthy: true,
};

const values: Values = {
  steps: { activity: seen, change: { cancelled: 3, names: ["a"], ratio: 0.5, nested: { deep: [1, 2] } } },
  inputs: { minutes: 5 },
  labels: Object.assign(Object.create(null), { severity: "critical", "my-label": "x" }),
  annotations: Object.create(null),
  target: "youtility3",
};

function evaluate(source: string, where: Scope = scope): unknown {
  const compiled = compileExpression(source, where);
  if (!compiled.ok) return compiled.message;
  const result = compiled.evaluate(values);
  return result.ok ? result.value : result.error;
}

describe("conditions that hold", () => {
  test.each([
    "steps.activity.longestSeconds > 300",
    "steps.activity.longestSeconds >= 300.5",
    "steps.activity.longestSeconds == 300.5",
    "steps.activity.connections == 90",
    "90 == steps.activity.connections",
    "steps.activity.connections != 91",
    "steps.activity.connections < 90.5 && 89.5 < steps.activity.connections",
    "steps.activity.connections + 1 == 91",
    "1 + steps.activity.connections == 91.0",
    "steps.activity.connections - 100 < 0",
    "2 * steps.activity.longestSeconds == 601",
    "steps.activity.longestSeconds / 2 == 150.25",
    "steps.activity.connections % 7 == 6",
    "190 % steps.activity.connections == 10",
    "steps.activity.connections in [1, 90]",
    "steps.activity.longestSeconds in [1, 300.5]",
    "!(steps.activity.connections in [])",
    "size(steps.activity.blockers) in [2, 3]",
    "size(steps.activity.databases) == 2",
    "size(steps.activity.databases) < steps.activity.longestSeconds",
    "(has(steps.absent) ? steps.absent.longestSeconds : 0) == 0",
    "(true ? (false ? 1 : 2.5) : 3) == 2.5",
    "steps.activity.blockers.map(b, b.pid) == [1, 2]",
    "steps.activity.blockers[1].seconds == 40",
    "steps.activity.blockers.exists(b, b.seconds > 30)",
    "steps.activity.blockers.all(b, b.pid > 0) && !steps.activity.blockers.exists_one(b, b.pid > 0)",
    "steps.activity.blockers.filter(b, b.seconds > 30).size() == 1",
    "'app' in steps.activity.databases",
    "'app' in steps.activity.byUser && steps.activity.byUser['app'] == 3",
    "steps.activity.byUser.app == 3",
    "steps.activity.state == 'busy'",
    "steps.activity.healthy",
    "steps.activity.note == null",
    "has(steps.activity)",
    "!has(steps.absent)",
    "!has(steps.absent.longestSeconds)",
    "!has(steps.absent.pool.used)",
    "has(steps.activity.longestSeconds)",
    "!has(steps.activity.pool)",
    "!has(steps.activity.pool.used)",
    "!has(steps.gone.x.y)",
    "has(steps.change.nested.deep) && !has(steps.change.nested.shallow)",
    "!has(steps.absent) || steps.absent.longestSeconds > 300",
    "steps.change.cancelled > 2 && steps.change.cancelled == 3 && steps.change.cancelled + 1 == 4",
    "steps.change.cancelled * 1.5 == 4.5 && steps.change.ratio < 1 && steps.change.cancelled in [3]",
    "3 in [steps.change.cancelled] && steps.change.nested.deep[0] == 1",
    "labels.severity == 'critical' && labels['my-label'] == 'x'",
    "!has(labels.constructor) && !has(labels.team) && !('toString' in labels)",
    "size(annotations) == 0",
    "target == 'youtility3'",
    "inputs.minutes * 60 == 300 && !has(inputs.who)",
    "labels.severity.matches('^crit') && !labels.severity.matches('x|y')",
    "['a', 'b'].exists(x, x.matches('b'))",
    "10 - (5 - 2) == 7 && 8 / (4 / 2) == 4 && !(1 - 2 - 3 == 2)",
    "-steps.activity.connections == -90 && [-1, 2.5].exists(x, x < 0)",
    "'a\\nb\"' == \"a\\nb\\\"\" && b'ab' == b'ab' && 1e3 == 1000 && 0.1 + 0.2 > 0.3 - 1",
    "timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-02T00:00:00Z')",
  ])("%s", (source) => {
    const compiled = compileCondition(source, scope);
    expect(compiled).toMatchObject({ ok: true });
    if (compiled.ok) expect(compiled.condition(values)).toEqual({ ok: true, value: true });
  });
});

describe("what is refused when the playbook is loaded", () => {
  test.each([
    ["", "the expression is empty"],
    ["steps.activity.longestSeconds >", "Unexpected token"],
    ["steps.activity.longestSeconds", "a condition must give bool (true or false), not double"],
    ["steps.change.cancelled", "a condition must give bool (true or false), not dyn"],
    ["steps.activity.longestSecond > 1", "there is no steps.activity.longestSecond; did you mean longestSeconds"],
    ["steps.activty.longestSeconds > 1", "there is no step 'activty'; did you mean activity?"],
    ["steps.later.x > 1", "step 'later' has not run yet at this point"],
    ["has(steps.later)", "step 'later' has not run yet at this point"],
    ["has(steps.activity.longest)", "there is no steps.activity.longest; did you mean longestSeconds"],
    ["has(inputs.whom)", "there is no inputs.whom; did you mean who?"],
    ["has(steps)", "steps can only be used as steps.<id>"],
    ["steps['activity'].longestSeconds > 1", "steps can only be used as steps.<id>"],
    ["steps.activity.state > 1", "no such overload: string > int, in (steps.activity.state > 1)"],
    ["steps.activity.connections == '90'", "no such overload: double == string"],
    ["inputs.minute > 1", "there is no inputs.minute; did you mean minutes?"],
    ["activity.longestSeconds > 1", "unknown name 'activity'; expressions can use steps, inputs, output, labels"],
    ["output.longestSeconds > 1", "output exists only in expect"],
    ["steps.activity.state.matches('(')", 'matches("("): not a regular expression in RE2 syntax'],
    ["steps.activity.state.matches('(?=x)')", "not a regular expression in RE2 syntax"],
    ["steps.activity.state.matches(labels.pattern)", "the pattern of matches() must be a text in quotes"],
    ["cel.bind(x, 1, x == 1)", "cel.bind() is not supported"],
    ["true ? 1 == 1 : 'x'", "Ternary branches must have the same type"],
    [["a", "b", "c", "d", "e"].map((name) => `[1].all(${name}, true)`).join(" && "), "more than 4 of all"],
    ["[1].all(a, [1].all(b, a == b))", "another all, exists, exists_one, map or filter inside takes too long"],
    [
      "[1].map(a, a > 0, [1].filter(b, a == b))",
      "another all, exists, exists_one, map or filter inside takes too long",
    ],
    [`${"(".repeat(200)}true${")".repeat(200)}`, "Exceeded maxDepth"],
    [`1 in [${"1,".repeat(150)}1]`, "Exceeded maxListElements"],
    [`true${" && true".repeat(300)}`, "the expression is longer than 2000 characters"],
  ])("%s", (source, message) => {
    expect(compileCondition(source, scope)).toEqual({ ok: false, message: expect.stringContaining(message) });
  });

  test.each(["labels.service", "annotations.summary", "target", "'a' + labels['x']", "[1].map(x, labels.a)"])(
    "%s in with, since labels select and never become",
    (source) => {
      expect(compileExpression(source, { ...scope, place: "with" })).toEqual({
        ok: false,
        message: expect.stringContaining("what an alert says selects, it never becomes input of an action"),
      });
    },
  );
});

describe("what is found out when it is evaluated", () => {
  test.each([
    ["steps.absent.longestSeconds > 300", "step 'absent' has no output; guard with has(steps.absent)"],
    ["steps.gone.cancelled > 1", "step 'gone' has no output; guard with has(steps.gone)"],
    ["inputs.who == 'x'", "input 'who' was not given; guard with has(inputs.who)"],
    ["labels.team == 'x'", "the alert has no label 'team'; guard with has(labels.team)"],
    ["labels['my-team'] == 'x'", "the alert has no label 'my-team'; guard with \"my-team\" in labels"],
    ["annotations.summary == ''", "the alert has no annotation 'summary'; guard with has(annotations.summary)"],
    ["steps.activity.pool.used > 1", "there is no steps.activity.pool; guard with has(steps.activity.pool)"],
    ["steps.change.nope == 1", "there is no steps.change.nope; guard with has(steps.change.nope)"],
    ["steps.change.names > 1", "no such overload"],
    ["steps.activity.blockers[7].pid == 1", "index out of bounds"],
    ["1 / 0 == 1", "division by zero"],
  ])("%s", (source, message) => {
    const compiled = compileCondition(source, scope);
    expect(compiled).toMatchObject({ ok: true });
    if (compiled.ok) expect(compiled.condition(values)).toEqual({ ok: false, error: expect.stringContaining(message) });
  });

  test("an output that is not as promised is an error, not an answer", () => {
    const compiled = compileCondition("steps.activity.longestSeconds > 300", scope);
    if (!compiled.ok) throw new Error(compiled.message);
    const odd = { ...values, steps: { activity: { longestSeconds: "long" } } };
    expect(compiled.condition(odd)).toEqual({ ok: false, error: expect.stringContaining("longestSeconds") });
  });
});

describe("texts for people", () => {
  test("are put together of what is known", () => {
    const compiled = compileText("'at least ' + string(int(steps.activity.longestSeconds)) + ' s'", scope);
    if (!compiled.ok) throw new Error(compiled.message);
    expect(compiled.text(values)).toEqual({ ok: true, value: "at least 300 s" });
  });

  test.each([
    ["1 + 2", "it must give a text, not int; string(…) makes one: 1 + 2"],
    ["'a' + 1", "no such overload"],
    ["steps.later.nope", "steps.later"],
  ])("%s is refused", (source, message) => {
    expect(compileText(source, scope)).toEqual({ ok: false, message: expect.stringContaining(message) });
  });

  test("what turns out to be none is an error", () => {
    const compiled = compileText("steps.change.cancelled", scope);
    if (!compiled.ok) throw new Error(compiled.message);
    expect(compiled.text(values)).toEqual({ ok: false, error: "it gave 3, not a text" });
  });
});

describe("results", () => {
  test.each<[string, unknown]>([
    ["1 + 2", 3],
    ["steps.activity.longestSeconds * 2", 601],
    ["'a' + 'b'", "ab"],
    [
      "steps.activity.blockers",
      [
        { pid: 1, seconds: 2.5 },
        { pid: 2, seconds: 40 },
      ],
    ],
    ["steps.change.nested", { deep: [1, 2] }],
    ["{'a': 1}", { a: 1 }],
    ["[1, 2.5]", [1, 2.5]],
    ["null", null],
    ["asSeconds(steps.activity.longestSeconds)", "5.01 min"],
    ["asSeconds(steps.change.ratio / 1000)", "0.5 ms"],
    ["asBytes(3 * 1048576)", "3 MiB"],
    ["asPercent(steps.change.ratio)", "50 %"],
    ["asNumber(size(steps.activity.blockers)) + ' blockers'", "2 blockers"],
    ["asNumber(steps.change.cancelled)", "3"],
    ["asChange(-0.2)", "−20 %"],
    ["largestKey(steps.activity.byUser)", "app"],
    ["largestKey({'a': 1, 'b': 2.5, 'c': 2.5})", "b"],
    ["steps.change.names.map(one, [one, asNumber(1)])", [["a", "1"]]],
  ])("%s is plain JSON", (source, expected) => {
    expect(evaluate(source)).toEqual(expected);
  });

  test.each(["steps.activity.longestSeconds / 0", "9007199254740993", "timestamp(0)", "type(1)", "b'a'"])(
    "%s cannot be used as a value",
    (source) => {
      expect(evaluate(source)).toMatch(/^the result is/);
    },
  );

  test.each([
    ["largestKey(steps.change)", "largestKey() takes numbers, and that of 'names' is none"],
    ["largestKey({})", "largestKey() of nothing"],
  ])("%s has no answer, and says why", (source, why) => {
    expect(evaluate(source)).toContain(why);
  });

  test("keys of data are only data", () => {
    const hostile = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "toString": 2}');
    const compiled = compileExpression("steps.change", scope);
    if (!compiled.ok) throw new Error(compiled.message);
    const result = compiled.evaluate({ ...values, steps: { change: hostile } });
    expect(result.ok && JSON.stringify(result.value)).toBe(JSON.stringify(hostile));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

test("a field that is absent is absent, whatever JavaScript calls its own", () => {
  const odd: ValueType = {
    kind: "object",
    fields: new Map([
      ["toString", { kind: "dyn" }],
      ["hasOwnProperty", { kind: "dyn" }],
    ]),
  };
  const compiled = compileCondition("has(steps.odd.toString) || has(steps.odd.hasOwnProperty)", {
    ...scope,
    steps: new Map([["odd", odd]]),
  });
  if (!compiled.ok) throw new Error(compiled.message);
  expect(compiled.condition({ ...values, steps: { odd: {} } })).toEqual({ ok: true, value: false });
});

test("the pattern of matches() takes time in proportion to the text", () => {
  const compiled = compileCondition("labels.x.matches('^(a+)+$')", scope);
  if (!compiled.ok) throw new Error(compiled.message);
  const labels = Object.assign(Object.create(null), { x: `${"a".repeat(100_000)}!` });
  // JavaScript's own engine would need longer than the age of the universe.
  expect(compiled.condition({ ...values, labels })).toEqual({ ok: true, value: false });
});
