import { readLine } from "../../../src/oncall/slack/command-line.ts";
import { playbook } from "../../support/builders.ts";

const declared = (type: "string" | "number" | "integer" | "boolean") =>
  ({ type, description: null, default: null, required: false }) as const;
const inputs = {
  hours: declared("integer"),
  ratio: declared("number"),
  force: declared("boolean"),
  note: declared("string"),
};
const playbooks = [
  playbook({ name: "heal", target: { label: "service" }, on: { alerts: null, request: { inputs } } }),
  playbook({ name: "fixed", target: { name: "ward" }, on: { alerts: null, request: { inputs } } }),
  playbook({ name: "free", target: null, on: { alerts: null, request: { inputs } } }),
];
const read = (text: string) => readLine(text, playbooks);
const run = (over: object) => ({ do: "run", playbook: "heal", target: "ward", inputs: {}, reason: "why", ...over });

test.each([
  ["run heal ward why", run({})],
  ["  RUN   heal  ward   it is  cold ", run({ reason: "it is  cold" })],
  ["run heal ward hours=5 it is cold", run({ inputs: { hours: 5 }, reason: "it is cold" })],
  ["run heal ward ratio=-1.5 force=true note=5 why", run({ inputs: { ratio: -1.5, force: true, note: "5" } })],
  ['run heal ward note="two words" why', run({ inputs: { note: "two words" } })],
  ["run heal ward note=“two words” why", run({ inputs: { note: "two words" } })],
  ['run heal ward note="a=b" "the reason in quotes"', run({ inputs: { note: "a=b" }, reason: "the reason in quotes" })],
  ["run heal ward note= why", run({ inputs: { note: "" } })],
  ["run heal ward hours=many why", run({ inputs: { hours: "many" } })],
  ["run heal ward hours=007 why", run({ inputs: { hours: 7 } })],
  ["run heal ward hours=1e9 why", run({ inputs: { hours: "1e9" } })],
  ["run heal ward unknown=5 why", run({ inputs: { unknown: "5" } })],
  ["run heal ward because a=b", run({ reason: "because a=b" })],
  ["run heal ward note=a&amp;b&lt;c why &gt; how", run({ inputs: { note: "a&b<c" }, reason: "why > how" })],
  ['run heal "the ward" why', run({ target: "the ward" })],
  ["run fixed why", run({ playbook: "fixed", target: null })],
  ["run fixed ward why", run({ playbook: "fixed" })],
  ["run free why not", run({ playbook: "free", target: null, reason: "why not" })],
  ["run free hours=1 why", run({ playbook: "free", target: null, inputs: { hours: 1 } })],
  ["run unknown ward why", run({ playbook: "unknown" })],
  ["approve 0193-AB", { do: "approve", run: "0193-ab" }],
  ["decline 0193ab the backup runs", { do: "decline", run: "0193ab", reason: "the backup runs" }],
  ["pause 30m we move", { do: "pause", forMs: 1_800_000, reason: "we move" }],
  ["pause we move", { do: "pause", forMs: null, reason: "we move" }],
  ["resume", { do: "resume", reason: "resumed in Slack" }],
  ["resume we moved", { do: "resume", reason: "we moved" }],
  ["runs", { do: "runs" }],
  ["", { do: "help" }],
  ["help me", { do: "help" }],
])("'%s' is understood", (text, line) => {
  expect(read(text)).toEqual(line);
});

test.each([
  ["run", "Which playbook", "run database-overload"],
  ["run heal ward", "Why?", "run heal ward the page is slow"],
  ["run heal ward hours=5", "Why?", "run heal ward hours=5 the page is slow"],
  ["approve", "Which run?", "approve 0"],
  ["approve everything", "Which run?", "approve 0"],
  ["decline 0193ab", "Why?", "decline 0193ab the backup is running"],
  ["decline the-run now", "Which run?", "decline 0"],
  ["pause", "Why?", "pause 30m "],
  ["pause 2h", "Why?", "pause 2h "],
  ["dance", "There is no command dance", "help"],
])("'%s' is asked for again, with an example", (text, what, example) => {
  expect(read(text)).toMatchObject({
    do: "ask-again",
    what: expect.stringContaining(what),
    example: expect.stringContaining(example),
  });
});

test("every example can be typed", () => {
  for (const text of ["run", "run heal ward", "approve", "decline", "decline 0193ab", "pause", "pause 2h", "dance"]) {
    const asked = read(text);
    expect(read(asked.do === "ask-again" ? asked.example : "dance").do).not.toBe("ask-again");
  }
});

test("an input called __proto__ is kept as one, to be refused by its name", () => {
  const line = read("run heal ward __proto__=x why");
  expect(line.do === "run" && Object.keys(line.inputs)).toEqual(["__proto__"]);
});
