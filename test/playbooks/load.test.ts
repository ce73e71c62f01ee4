// biome-ignore-all lint/suspicious/noTemplateCurlyInString: so are expressions written in playbooks

import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { notifySend } from "../../src/actions/notify/send.ts";
import { reportSend } from "../../src/actions/report/send.ts";
import { compilePlaybook, hashOfPlaybook, loadPlaybooks, readPlaybookFolder } from "../../src/playbooks/load.ts";
import { world } from "./actions.ts";

/** A playbook without a mistake, which the cases below change in one place. */
const good = `name: heal
summary: Cancels what is slow.
on:
  alerts: ['alertname="Slow"']
target: { label: service }
steps:
  - id: activity
    do: postgres.activity
  - id: cancel
    if: steps.activity.longestSeconds > 300
    do: postgres.cancel-queries
    with:
      olderThanSeconds: 300
verify:
  - do: postgres.activity
    expect: output.longestSeconds < 300
`;

function problemsOf(text: string): readonly string[] {
  return loadPlaybooks([{ file: "heal.yaml", text }], world).problems.map(
    ({ file, line, message, severity }) => `${file}:${line}: ${severity === "warning" ? "warning: " : ""}${message}`,
  );
}

function changed(from: string, to: string): string {
  if (!good.includes(from)) throw new Error(`the good playbook does not contain ${from}`);
  return good.replace(from, to);
}

test("a playbook without a mistake has no problem and its defaults filled in", () => {
  const { playbooks, problems } = loadPlaybooks([{ file: "heal.yaml", text: good }], world);
  expect(problems).toEqual([]);
  expect(playbooks[0]?.playbook).toEqual({
    name: "heal",
    summary: "Cancels what is slow.",
    hash: hashOfPlaybook(good),
    source: good,
    on: { alerts: ['alertname="Slow"'], request: null, schedule: null },
    target: { label: "service" },
    cooldownMs: null,
    budget: [],
    onResolved: "stop",
    steps: [
      {
        id: "activity",
        do: "postgres.activity",
        if: null,
        with: {},
        timeoutMs: 60_000,
        onHost: false,
        kind: "observe",
      },
      {
        id: "cancel",
        do: "postgres.cancel-queries",
        if: "steps.activity.longestSeconds > 300",
        with: { olderThanSeconds: 300 },
        timeoutMs: 60_000,
        onHost: false,
        kind: "change",
        risk: "low",
        repeat: "safe",
        approval: "by-risk",
        revert: null,
      },
    ],
    verify: [
      {
        do: "postgres.activity",
        with: {},
        expect: "output.longestSeconds < 300",
        withinMs: 60_000,
        everyMs: 6_000,
        timeoutMs: 60_000,
        onHost: false,
      },
    ],
    escalate: null,
    announce: "now",
    notify: [],
    approvals: { atLeast: null, expireAfterMs: null, by: null },
  });
});

test("what was written is what runs: rails, times, requests and their inputs", () => {
  const text = `
name: on-request
summary: Restarts.
on:
  request: true
  inputs:
    unit: string
    minutes: { type: integer, default: 5, description: How long. }
    force: { type: boolean, required: false }
target: youtility3
cooldown: 10m
budget: [3/1h, 7/24h]
on_resolved: finish
during: maintenance
steps:
  - { id: restart, do: systemd.restart, with: { unit: '\${{ inputs.unit }}' }, approval: always, timeout: 5m }
verify:
  - { do: postgres.activity, expect: output.healthy && inputs.minutes > 1, within: 10m, every: 2s, timeout: 3s }
escalate: database
`;
  const compiled = compilePlaybook(text, world);
  expect(compiled).toMatchObject({ ok: true, problems: [] });
  expect(compiled.ok && compiled.loaded.playbook).toMatchObject({
    on: {
      alerts: null,
      request: {
        inputs: {
          unit: { type: "string", description: null, default: null, required: true },
          minutes: { type: "integer", description: "How long.", default: 5, required: false },
          force: { type: "boolean", description: null, default: null, required: false },
        },
      },
    },
    target: { name: "youtility3" },
    cooldownMs: 600_000,
    budget: [
      { limit: 3, windowMs: 3_600_000 },
      { limit: 7, windowMs: 86_400_000 },
    ],
    onResolved: "finish",
    during: "maintenance",
    steps: [{ approval: "always", timeoutMs: 300_000, risk: "high", repeat: "once" }],
    verify: [{ withinMs: 600_000, everyMs: 2_000, timeoutMs: 3_000 }],
    escalate: { policy: "database", holdMs: null },
  });
  expect(compiled.ok && compiled.loaded.matchers).toBeNull();
});

test("what the condition of a step asks for may be used by its input", () => {
  const asks = good
    .replace("do: postgres.activity\n", "do: postgres.activity\n    optional: true\n")
    .replace("if: steps.activity.longestSeconds > 300", "if: has(steps.activity)")
    .replace("olderThanSeconds: 300", "olderThanSeconds: ${{ steps.activity.longestSeconds }}");
  expect(problemsOf(asks)).toEqual([]);
  expect(problemsOf(asks.replace("if: has(steps.activity)", "if: 1 == 1"))).toEqual([
    expect.stringContaining("step 'activity' is optional, so it may have seen nothing"),
  ]);
});

test("an optional observation may be used where it is asked for first", () => {
  const optional = good.replace("do: postgres.activity\n", "do: postgres.activity\n    optional: true\n");
  const asked = "if: has(steps.activity) && steps.activity.longestSeconds";
  const { playbooks, problems } = loadPlaybooks(
    [{ file: "heal.yaml", text: optional.replace("if: steps.activity.longestSeconds", asked) }],
    world,
  );
  expect(problems).toEqual([]);
  expect(playbooks[0]?.playbook.steps[0]).toMatchObject({ kind: "observe", optional: true });
});

test("conditions, inputs and checks are compiled, by step and by check", () => {
  const compiled = compilePlaybook(good, world);
  if (!compiled.ok) throw new Error("refused");
  const { steps, checks } = compiled.loaded;
  const values = { steps: {}, inputs: {}, labels: {}, annotations: {}, target: "youtility3" };
  const seen = { activity: { longestSeconds: 301 } };
  expect(steps.get("activity")?.condition).toBeNull();
  expect(steps.get("cancel")?.condition?.({ ...values, steps: seen })).toEqual({ ok: true, value: true });
  expect(steps.get("cancel")?.condition?.(values)).toEqual({
    ok: false,
    error: "step 'activity' has no output; guard with has(steps.activity)",
  });
  expect(steps.get("cancel")?.input(values)).toEqual({ ok: true, input: { olderThanSeconds: 300, atMost: 20 } });
  expect(steps.get("cancel")?.action.name).toBe("postgres.cancel-queries");
  expect(checks[0]?.expect({ ...values, output: { longestSeconds: 299.9 } })).toEqual({ ok: true, value: true });
  expect(checks[0]?.input(values)).toEqual({ ok: true, input: {} });
});

describe("one mistake, one message with its line", () => {
  test.each<[string, string, string]>([
    ["name: heal", "name: Heal It", "1: name must be small letters, digits and dashes"],
    ["name: heal", "title: heal", "1: name is missing"],
    ["summary: Cancels what is slow.", "summary: ''", "2: summary is empty"],
    [
      "    do: postgres.activity\n  - id: cancel",
      "    do: postgres.activity\n    optional: true\n  - id: cancel",
      "11: if: step 'activity' is optional, so it may have seen nothing; ask first, as in has(steps.activity) && …: steps.activity.longestSeconds > 300",
    ],
    [
      "do: postgres.cancel-queries",
      "do: postgres.cancel-queries\n    optional: true",
      "12: postgres.cancel-queries changes something, and a change that fails is for people; leave optional out",
    ],
    ["summary: Cancels what is slow.", "summary: 7", "2: summary must be a string"],
    ["summary:", "sumary: x\nsummary:", "2: unknown key 'sumary'; did you mean summary?"],
    ["summary:", "name: twice\nsummary:", "2: 'name' is given twice in the same place"],
    ["on:\n  alerts: ['alertname=\"Slow\"']\n", "", "1: on is missing: what starts this playbook"],
    [
      "['alertname=\"Slow\"']",
      "['alertname=\"Slow\"', 'x']",
      "4: not a matcher: x (expected =, !=, =~ or !~ after the label name, found end of the text)",
    ],
    [
      "['alertname=\"Slow\"']",
      "\n  - 'a=\"b\"'\n  - 'a=~\"(\"'",
      '6: not a matcher: a=~"(" (not a regular expression in RE2 syntax: missing closing ): `(`)',
    ],
    ["  alerts:", "  alert: 1\n  alerts:", "4: unknown key 'alert' in on; did you mean alerts?"],
    [
      "  alerts: ['alertname=\"Slow\"']",
      "  schedule: '0 2 * * *'",
      "5: a schedule has no alert whose label selects a target; name the target",
    ],
    [
      "  alerts: ['alertname=\"Slow\"']",
      "  {}",
      "3: nothing starts this playbook; give it alerts, a schedule, or request: true",
    ],
    [
      "  alerts:",
      "  schedule: '0 25 * * *'\n  alerts:",
      "4: '0 25 * * *' is no cron expression: Invalid value for hour: 25; write one such as '0 2 * * *'",
    ],
    ["  alerts:", "  schedule: '0 0 30 2 *'\n  alerts:", "4: '0 0 30 2 *' never occurs"],
    [
      "  alerts:",
      "  schedule: '0 2 * * *'\n  timezone: Europe/Berlni\n  alerts:",
      "5: 'Europe/Berlni' is no time zone; write one such as Europe/Berlin or UTC",
    ],
    ["  alerts:", "  missed: run\n  alerts:", "4: missed is only for a schedule; add schedule or leave missed out"],
    [
      "  alerts:",
      "  timezone: UTC\n  alerts:",
      "4: timezone is only for a schedule; add schedule or leave timezone out",
    ],
    ["  alerts:", "  schedule: '0 2 * * *'\n  missed: later\n  alerts:", "5: on.missed must be run or skip"],
    [
      "  alerts: ['alertname=\"Slow\"']\ntarget: { label: service }",
      "  schedule: '0 2 * * *'\n  request: true\n  inputs:\n    a: string\ntarget: youtility3",
      "7: input 'a' needs a default or required: false, since only requests give inputs",
    ],
    ["  alerts: ['alertname=\"Slow\"']", "  request: false", "4: on.request must be true, or left out"],
    [
      "  alerts:",
      "  requires: 'true'\n  alerts:",
      "4: only requests give inputs; add request: true or leave requires out",
    ],
    [
      "  alerts: ['alertname=\"Slow\"']",
      "  request: true\n  inputs: { a: integer }\n  requires: inputs.a + 1",
      "6: a condition must give bool (true or false), not double: inputs.a + 1",
    ],
    [
      "  alerts: ['alertname=\"Slow\"']",
      "  request: true\n  inputs: { apple: string }\n  requires: inputs.aple == 'x'",
      "6: there is no inputs.aple; did you mean apple?",
    ],
    [
      "  alerts:",
      "  request: true\n  inputs: { a: { type: string, required: false } }\n  requires: has(inputs.a)\n  alerts:",
      "6: requires does not hold without inputs, and only requests give inputs, no alert and no schedule",
    ],
    [
      "  alerts: ['alertname=\"Slow\"']\ntarget: { label: service }",
      "  schedule: '0 2 * * *'\n  request: true\n  inputs: { a: { type: integer, default: 1 } }\n  requires: inputs.a > 1\ntarget: youtility3",
      "7: requires does not hold without inputs, and only requests give inputs, no alert and no schedule",
    ],
    [
      "  alerts:",
      "  inputs: { a: string }\n  alerts:",
      "4: only requests give inputs; add request: true or leave inputs out",
    ],
    [
      "  alerts:",
      "  request: true\n  inputs:\n    a: string\n  alerts:",
      "6: input 'a' needs a default or required: false, since only requests give inputs",
    ],
    [
      "  alerts:",
      "  request: true\n  inputs:\n    a: { type: integer, default: x }\n  alerts:",
      "6: the default of 'a' must be a whole number",
    ],
    [
      "  alerts:",
      "  request: true\n  inputs:\n    a: text\n  alerts:",
      "6: on.inputs.a must be a type, or { type, description, default, required }",
    ],
    [
      "  alerts:",
      "  request: true\n  inputs:\n    a-b: { type: string, default: x }\n  alerts:",
      "6: on.inputs.a-b must be letters, digits and underscores",
    ],
    [
      "{ label: service }",
      "{ label: servce }",
      "5: no target of the configuration has the label 'servce'; did you mean service?",
    ],
    ["{ label: service }", "youtilty3", "5: the configuration has no target 'youtilty3'; did you mean youtility3?"],
    ["{ label: service }", "{ name: other }", "5: the configuration has no target 'other'; there are: youtility3"],
    [
      "{ label: service }",
      "{ lable: service }",
      "5: target must be { label: NAME } or the name of a target in the configuration",
    ],
    ["steps:\n", "cooldown: 10x\nsteps:\n", "6: cooldown is not a duration; write one such as 90s, 10m, 2h or 7d"],
    ["steps:\n", "cooldown: 10\nsteps:\n", "6: cooldown must be a duration such as 90s, 10m, 2h or 7d"],
    ["steps:\n", "cooldown: 400d\nsteps:\n", "6: cooldown is longer than 366 days"],
    ["steps:\n", "cooldown: 0s\nsteps:\n", "6: cooldown must be longer than 0s"],
    [
      "steps:\n",
      "budget: [3/1h, 0/1h]\nsteps:\n",
      "6: budget[1] is not a budget; write a limit and a window, such as 3/1h",
    ],
    ["steps:\n", "budget: 3/1h\nsteps:\n", "6: budget must be a list of limits and windows, such as [3/1h, 7/24h]"],
    ["steps:\n", "budget: [3/0h]\nsteps:\n", "6: budget[0] has a window that is 0s, or longer than 366 days"],
    ["steps:\n", "on_resolved: ignore\nsteps:\n", "6: on_resolved must be stop or finish"],
    [
      "steps:\n",
      "escalate: datbase\nsteps:\n",
      "6: the configuration has no escalation policy 'datbase'; did you mean database?",
    ],
    [
      "do: postgres.activity\n  - id: cancel",
      "do: postgres.activty\n  - id: cancel",
      "8: there is no action 'postgres.activty'; did you mean postgres.activity?",
    ],
    [
      "  - id: cancel",
      "  - id: cancel-it",
      "9: steps[1].id must be a small letter followed by letters, digits and underscores, so that steps.<id> can be written",
    ],
    ["  - id: cancel", "  - id: in", "9: steps[1].id is a reserved word of CEL"],
    ["  - id: cancel", "  - id: activity", "9: there is already a step 'activity'; ids are unique in a playbook"],
    ["  - id: cancel\n    if", "  - if", "9: steps[1].id is missing"],
    ["    if:", "    iff: x\n    if:", "10: unknown key 'iff' in steps[1]; did you mean if?"],
    [
      "steps.activity.longestSeconds > 300",
      "steps.activity.longestSeconds > 'x'",
      '10: if: no such overload: double > string, in (steps.activity.longestSeconds > "x")',
    ],
    [
      "steps.activity.longestSeconds > 300",
      "steps.cancel.done",
      "10: if: step 'cancel' has not run yet at this point; only earlier steps have an output: steps.cancel.done",
    ],
    [
      "steps.activity.longestSeconds > 300",
      "steps.activity.state",
      "10: if: a condition must give bool (true or false), not string: steps.activity.state",
    ],
    [
      "      olderThanSeconds: 300\n",
      "      olderThanSeconds: 300\n      atmost: 3\n",
      "14: with.atmost: unknown input 'atmost'; did you mean atMost?",
    ],
    [
      "      olderThanSeconds: 300\n",
      "      atMost: 3\n      olderThanSeconds: '300'\n",
      "14: with.olderThanSeconds: input 'olderThanSeconds': Invalid input: expected number, received string",
    ],
    ["    with:\n      olderThanSeconds: 300\n", "", "9: with.olderThanSeconds: input 'olderThanSeconds' is missing"],
    [
      "olderThanSeconds: 300",
      "olderThanSeconds: '${{ labels.age }}'",
      "13: with.olderThanSeconds: labels cannot be used in with: what an alert says selects, it never becomes input of an action: labels.age",
    ],
    [
      "olderThanSeconds: 300",
      "olderThanSeconds: '1${{ 2 }}'",
      "13: with.olderThanSeconds: ${{ … }} must be the whole value, one expression and nothing around it",
    ],
    [
      "    do: postgres.activity\n  - id: cancel",
      "    do: postgres.activity\n    approval: always\n  - id: cancel",
      "9: postgres.activity only observes, so there is nothing to approve; leave approval out",
    ],
    [
      "    do: postgres.activity\n  - id: cancel",
      "    do: postgres.activity\n    revert_after: 2h\n  - id: cancel",
      "9: postgres.activity only observes, so there is nothing to put back; leave revert_after out",
    ],
    [
      "    do: postgres.activity\n  - id: cancel",
      "    do: postgres.activity\n    found: output.longestSeconds\n  - id: cancel",
      "9: found: it must give a text, not double; string(…) makes one: output.longestSeconds",
    ],
    [
      "    expect: output.longestSeconds < 300\n",
      "    expect: output.longestSeconds < 300\n    found: output.slowest\n",
      "17: found: there is no output.slowest; there are: connections, longestSeconds, state, databases, byUser, blockers, pool, note, healthy",
    ],
    [
      "    with:\n",
      "    found: '\"much\"'\n    with:\n",
      "12: postgres.cancel-queries changes something and its effects say what; leave found out",
    ],
    [
      "    with:\n",
      "    revert_after: 2h\n    with:\n",
      "12: what postgres.cancel-queries changes cannot be put back; leave revert_after out",
    ],
    [
      "    with:\n",
      "    revert_on: resolved\n    with:\n",
      "12: what postgres.cancel-queries changes cannot be put back; leave revert_on out",
    ],
    [
      "    do: postgres.cancel-queries\n    with:\n      olderThanSeconds: 300\n",
      "    do: postgres.read-only\n    revert_on: fixed\n",
      "12: steps[1].revert_on must be resolved, verified, declined, or a list of them",
    ],
    ["    with:\n", "    approval: sometimes\n    with:\n", "12: steps[1].approval must be by-risk, always or never"],
    ["    with:\n", "    timeout: 2d\n    with:\n", "12: steps[1].timeout is longer than 24 hours"],
    [
      "    do: postgres.cancel-queries\n    with:\n      olderThanSeconds: 300\n",
      "    do: postgres.restore\n    approval: never\n    with: { backup: b }\n",
      "12: postgres.restore cannot be undone, so approval: never is not allowed; use always or by-risk",
    ],
    [
      "  - do: postgres.activity\n    expect",
      "  - do: systemd.restart\n    with: { unit: u }\n    expect",
      "15: systemd.restart changes something; verify takes actions that observe",
    ],
    [
      "output.longestSeconds < 300",
      "output.longest < 300",
      "16: expect: there is no output.longest; did you mean longestSeconds?",
    ],
    ["    expect: output.longestSeconds < 300\n", "", "15: verify[0].expect is missing"],
    ["    expect:", "    within: 10s\n    every: 20s\n    expect:", "17: every (20s) is longer than within (10s)"],
  ])("%j instead of %j: line %s", (from, to, problem) => {
    const others = /unknown key 'title'|warning: no escalate/;
    expect(problemsOf(changed(from, to)).filter((line) => !others.test(line))).toEqual([`heal.yaml:${problem}`]);
  });

  test.each<[string, string]>([
    ["", "1: not a playbook: the file must hold name, summary, on and steps"],
    ["- a\n- b\n", "1: not a playbook: the file must hold name, summary, on and steps"],
    [`${good}---\n${good}`, "17: a file holds one playbook; this one has several documents"],
    [`${good}\nextra: !secret x\n`, "18: not valid YAML: Unresolved tag: !secret"],
    [`${good}# ${"x".repeat(256 * 1024)}`, "1: the file is larger than 256 KiB"],
    [changed("steps:\n", "steps: []\nstep:\n"), "6: steps is empty; a playbook has at least one step"],
    [
      changed("summary: Cancels what is slow.", "summary: *nobody"),
      "2: not valid YAML: there is no anchor &nobody before this alias",
    ],
  ])("a text that is no playbook: %#", (text, problem) => {
    expect(problemsOf(text).some((line) => line.startsWith(`heal.yaml:${problem}`))).toBe(true);
  });
});

test("every mistake of every file is reported at once, by file and line", () => {
  const bad = `name: bad
sumary: x
on:
  alerts: ['b']
target: { label: servce }
steps:
  - id: activity
    do: postgres.activty
  - id: bad-id
    if: steps.activity.anything > 300 && steps.nope.x
    do: postgres.cancel-queries
    with: { olderThanSecond: 300 }
  - foo
verify:
  - do: postgres.restore
    with: { backup: b }
escalate: nobody
`;
  const { playbooks, problems } = loadPlaybooks(
    [
      { file: "a.yaml", text: bad },
      { file: "b.yaml", text: good },
      { file: "c.yaml", text: good.replace("summary: Cancels", "summary: Also cancels") },
      { file: "d.yaml", text: "name: [" },
    ],
    world,
  );
  expect(problems.map(({ file, line, message }) => `${file}:${line}: ${message}`)).toEqual([
    "a.yaml:1: summary is missing",
    "a.yaml:2: unknown key 'sumary'; did you mean summary?",
    "a.yaml:4: not a matcher: b (expected =, !=, =~ or !~ after the label name, found end of the text)",
    "a.yaml:5: no target of the configuration has the label 'servce'; did you mean service?",
    "a.yaml:8: there is no action 'postgres.activty'; did you mean postgres.activity?",
    "a.yaml:9: steps[1].id must be a small letter followed by letters, digits and underscores, so that steps.<id> can be written",
    "a.yaml:10: if: there is no step 'nope'; there are: activity: steps.activity.anything > 300 && steps.nope.x",
    "a.yaml:12: with.olderThanSecond: unknown input 'olderThanSecond'; did you mean olderThanSeconds?",
    "a.yaml:12: with.olderThanSeconds: input 'olderThanSeconds' is missing",
    "a.yaml:13: steps[2] must be a map with id, do, if, with, found, optional, approval, revert_after, revert_on, timeout",
    "a.yaml:15: verify[0].expect is missing",
    "a.yaml:15: postgres.restore changes something; verify takes actions that observe",
    "a.yaml:17: the configuration has no escalation policy 'nobody'; there are: database",
    "c.yaml:1: a playbook named 'heal' is already in b.yaml:1; names are unique",
    expect.stringMatching(/^d\.yaml:1: not valid YAML/),
  ]);
  // One bad file never costs a good one.
  expect(playbooks.map(({ playbook }) => playbook.source)).toEqual([good]);
});

test("a step says when what it changed is put back", () => {
  const step = (lines: string) => {
    const from = "    do: postgres.cancel-queries\n    with:\n      olderThanSeconds: 300\n";
    return `${changed(from, `    do: postgres.read-only\n${lines}`)}escalate: database\n`;
  };
  const revertOf = (lines: string) => {
    const compiled = compilePlaybook(step(lines), world);
    if (!compiled.ok) throw new Error(JSON.stringify(compiled));
    expect(compiled.problems).toEqual([]);
    return (compiled.loaded.playbook.steps[1] as { revert?: unknown }).revert;
  };
  expect(revertOf("")).toBeNull();
  expect(revertOf("    revert_after: 2h\n")).toEqual({ afterMs: 7_200_000, onResolved: false });
  expect(revertOf("    revert_on: resolved\n")).toEqual({ afterMs: null, onResolved: true });
  expect(revertOf("    revert_after: 2h\n    revert_on: resolved\n")).toEqual({ afterMs: 7_200_000, onResolved: true });
  expect(revertOf("    revert_on: [resolved, verified, declined]\n")).toEqual({
    afterMs: null,
    onResolved: true,
    onEnd: ["verified", "declined"],
  });
  expect(revertOf("    revert_on: verified\n")).toEqual({ afterMs: null, onResolved: false, onEnd: ["verified"] });

  // Somebody who asks has no alert that could resolve.
  const asked = step("    revert_on: resolved\n").replace("on:\n", "on:\n  request: true\n");
  expect(problemsOf(asked)).toEqual([expect.stringMatching(/^heal.yaml:13: warning: a run that somebody asks for/)]);
  expect(problemsOf(asked.replace("revert_on: resolved", "revert_on: resolved\n    revert_after: 2h"))).toEqual([]);
});

test("a playbook that only says something needs no verify", () => {
  const said = "do: notify.send\n    with: { text: 'All is well.' }\n";
  const text = `name: say\nsummary: Says it.\non: { request: true }\nsteps:\n  - id: say\n    ${said}`;
  const speaking = { ...world, actions: new Map([...world.actions, ["notify.send", notifySend(null)]]) };
  const compiled = compilePlaybook(text, speaking);
  expect(compiled).toMatchObject({ ok: true, problems: [], loaded: { playbook: { steps: [{ tells: true }] } } });
});

test("a report goes to a contact of the configuration, or the playbook does not load", () => {
  const text = (to: string) =>
    `name: say\nsummary: Says it.\non: { request: true }\nsteps:\n  - id: say\n    do: report.send\n    with:\n      to: ${to}\n      points: [All is well.]\n`;
  const known = new Map([["monitoring", ["email"]]]);
  const reporting = { ...world, actions: new Map([...world.actions, ["report.send", reportSend(known)]]) };
  expect(compilePlaybook(text("monitoring"), reporting)).toMatchObject({ ok: true, problems: [] });
  const { problems } = compilePlaybook(text("monitors"), reporting, "say.yaml");
  expect(problems).toMatchObject([
    { line: 8, message: expect.stringMatching(/'to'.* no such contact; it has monitoring/) },
  ]);
});

test("changing something without verify is a warning, and the playbook still loads", () => {
  const text = good.slice(0, good.indexOf("verify:"));
  expect(problemsOf(text)).toEqual([
    "heal.yaml:1: warning: no verify: a run that changes something can only end unknown; say how success is measured",
  ]);
  expect(compilePlaybook(text, world)).toMatchObject({ ok: true });
});

test("what may have to ask and names no escalation is a warning, and the playbook still loads", () => {
  const warning = expect.stringMatching(/^heal\.yaml:1: warning: no escalate: nobody hears of a change/);
  const asking = changed("do: postgres.cancel-queries\n", "do: postgres.cancel-queries\n    approval: always\n");
  expect(problemsOf(asking)).toEqual([warning]);
  expect(problemsOf(`${asking}escalate: database\n`)).toEqual([]);
  expect(problemsOf(`${good}budget: [3/1h]\n`)).toEqual([warning]);
  const risky = (approval: string) =>
    problemsOf(
      changed(
        "do: postgres.cancel-queries\n    with:\n      olderThanSeconds: 300\n",
        `do: postgres.read-only\n    approval: ${approval}\n`,
      ),
    );
  expect(risky("by-risk")).toEqual([warning]);
  expect(risky("never")).toEqual([]);
  expect(compilePlaybook(asking, world)).toMatchObject({ ok: true });
});

describe("an empty selection is an error, never everything", () => {
  test.each([
    "[]",
    "null",
    "['']",
    "['*']",
    "['{}']",
    "['alertname=~\".*\"']",
    "['alertname!=\"x\"']",
    "['alertname=\"\"']",
    "'*'",
    "~",
    "[null]",
    "{}",
    "['a!=\"x\"', 'b=~\"y|\"']",
  ])("alerts: %s", (alerts) => {
    const compiled = compilePlaybook(changed("['alertname=\"Slow\"']", alerts), world);
    expect(compiled).toMatchObject({ ok: false });
    expect(compiled.problems[0]?.line).toBe(4);
  });

  test.each([
    "",
    "null",
    "''",
    "'*'",
    "'.*'",
    "[]",
    "{}",
    "{ label: }",
    "{ label: '' }",
    "{ label: '*' }",
    "{ name: '*' }",
    "~",
  ])("target: %s", (target) => {
    const compiled = compilePlaybook(changed("{ label: service }", target), world);
    expect(compiled).toMatchObject({ ok: false });
    expect(compiled.problems[0]?.line).toBe(5);
  });

  test("no list of matchers that holds of an alert without labels ever loads", () => {
    const empty = fc.constantFrom('""', '".*"', '"|x"', '"x?"', '"()"', '"(?i)x*"', '""');
    const matcher = fc.oneof(
      fc.tuple(fc.constantFrom("=", "=~"), empty).map(([operator, value]) => (operator === "=" ? '=""' : `=~${value}`)),
      fc.constantFrom('!="x"', '!~"x"', '!~".+"'),
    );
    const matchers = fc.array(
      fc.tuple(fc.constantFrom("alertname", "severity", "a"), matcher).map(([name, rest]) => name + rest),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(matchers, (texts) => {
        const list = `[${texts.map((text) => `'${text}'`).join(", ")}]`;
        expect(compilePlaybook(changed("['alertname=\"Slow\"']", list), world).ok).toBe(false);
      }),
    );
  });
});

describe("texts that are meant to hurt", () => {
  test.each<[string, string]>([
    [
      "aliases that multiply",
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d]`,
    ],
    ["an alias of itself", "name: &a [*a]"],
    ["deep lists", `name: ${"[".repeat(100_000)}`],
    ["deep closed lists", `name: ${"[".repeat(500)}${"]".repeat(500)}`],
    ["deep maps", [...Array(300).keys()].map((depth) => `${" ".repeat(depth)}a:`).join("\n")],
    ["many keys", [...Array(20_000).keys()].map((at) => `k${at}: 1`).join("\n")],
    [
      "many inputs",
      changed(
        "      olderThanSeconds: 300\n",
        [...Array(20_000).keys()]
          .map((at) => `      k${at}: 1`)
          .join("\n")
          .concat("\n"),
      ),
    ],
    ["keys of the prototype", "__proto__: { name: x }\nconstructor: 1\nname: x"],
  ])(
    "%s",
    (_, text) => {
      const compiled = compilePlaybook(text, world);
      expect(compiled.ok).toBe(false);
      expect(Object.hasOwn(Object.prototype, "name")).toBe(false);
    },
    10_000,
  );

  test("aliases that multiply are refused for that reason", () => {
    const rows = ["a: &a0 [x,x,x,x,x,x,x,x,x]"];
    for (let row = 1; row < 9; row++)
      rows.push(
        `b${row}: &a${row} [${Array(9)
          .fill(`*a${row - 1}`)
          .join(",")}]`,
      );
    expect(problemsOf(rows.join("\n"))).toEqual([expect.stringContaining("Excessive alias count")]);
  });

  test("any YAML is read or refused, never thrown", () => {
    const part = fc.constantFrom(
      ...good.split("\n").map((line) => `${line}\n`),
      "  - ",
      "{",
      "]",
      ": ",
      "&a ",
      "*a\n",
      "null\n",
      "\t",
      "${{",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 25 }), (parts) => {
        const compiled = compilePlaybook(parts.join(""), world);
        expect(compiled.ok || compiled.problems.length > 0).toBe(true);
        for (const { line, message } of compiled.problems) {
          expect(line).toBeGreaterThan(0);
          expect(message).not.toBe("");
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("the folder of playbooks", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "paramedic-playbooks-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("every *.yaml in it is read, in the order of the names, and nothing else; what only looks like one is named", async () => {
    for (const name of ["b.yaml", "a.yaml", "c.yml", "D.YAML", "playbook.schema.json", ".hidden.yaml"]) {
      await writeFile(join(folder, name), name);
    }
    const { files, problems } = await readPlaybookFolder(folder);
    expect(files).toEqual([
      { file: join(folder, "a.yaml"), text: "a.yaml" },
      { file: join(folder, "b.yaml"), text: "b.yaml" },
    ]);
    expect(problems).toEqual(
      ["D.YAML", "c.yml"].map((name) => ({
        file: join(folder, name),
        line: 1,
        message: "the file is not read: the names of playbooks end with .yaml; rename it, or move it elsewhere",
        severity: "warning",
      })),
    );
  });

  test("a missing folder and a file that cannot be read are problems", async () => {
    const missing = join(folder, "missing");
    expect(await readPlaybookFolder(missing)).toEqual({
      files: [],
      problems: [{ file: missing, line: 1, message: expect.stringContaining("(ENOENT)"), severity: "error" }],
    });
    await mkdir(join(folder, "a.yaml"));
    await chmod(join(folder, "a.yaml"), 0o755);
    expect((await readPlaybookFolder(folder)).problems).toEqual([
      { file: join(folder, "a.yaml"), line: 1, message: "the file cannot be read (EISDIR)", severity: "error" },
    ]);
  });

  test("an empty folder is worth a warning", async () => {
    expect((await readPlaybookFolder(folder)).problems).toMatchObject([{ severity: "warning" }]);
  });
});
