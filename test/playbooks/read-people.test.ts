import { compilePlaybook, type LoadedPlaybook, loadPlaybooks } from "../../src/playbooks/load.ts";
import type { PlaybookWorld } from "../../src/playbooks/read-playbook.ts";
import { world } from "./actions.ts";

/** A playbook that changes something; what the cases add begins at line 16. */
const good = `name: heal
summary: Cancels what is slow.
on:
  alerts: ['alertname="Slow"']
  request: true
  inputs: { loud: { type: boolean, default: false } }
steps:
  - id: activity
    do: postgres.activity
  - id: cancel
    do: postgres.cancel-queries
    with: { olderThanSeconds: 300 }
verify:
  - do: postgres.activity
    expect: output.longestSeconds < 300
`;

function problemsOf(added: string, around: PlaybookWorld = world): readonly string[] {
  return loadPlaybooks([{ file: "heal.yaml", text: good + added }], around).problems.map(
    ({ line, message, severity }) => `${severity === "warning" ? "warning " : ""}${line}: ${message}`,
  );
}

function loadedOf(added: string): LoadedPlaybook {
  const compiled = compilePlaybook(good + added, world);
  if (!compiled.ok || compiled.problems.length > 0) throw new Error(JSON.stringify(compiled.problems));
  return compiled.loaded;
}

test.each([
  ["escalate: database", { escalate: { policy: "database", holdMs: null } }],
  ["escalate: { policy: database }", { escalate: { policy: "database", holdMs: null } }],
  ["escalate: { policy: database, hold: 5m }", { escalate: { policy: "database", holdMs: 300_000 } }],
  ["announce: never", { announce: "never" }],
  ["announce: before", { announce: "before" }],
  ["approvals: 2", { approvals: { atLeast: 2, expireAfterMs: null, by: null } }],
  [
    "approvals: { atLeast: 2, expireAfter: 10m, by: dba }",
    { approvals: { atLeast: 2, expireAfterMs: 600_000, by: "dba" } },
  ],
  ["approvals: { by: dba }", { approvals: { atLeast: null, expireAfterMs: null, by: "dba" } }],
  ["notify: [{ tell: monitoring }]", { notify: [{ contact: "monitoring", if: null, needs: [] }] }],
])("%s", (added, read) => {
  expect(loadedOf(added).playbook).toMatchObject(read);
});

describe("the conditions of notify", () => {
  const values = { steps: {}, inputs: { loud: true }, labels: {}, annotations: {}, target: "youtility3" };

  test.each([
    ["labels.severity == 'critical' && target == 'x' && annotations.a == 'b'", []],
    ["inputs.loud", []],
    ["steps.activity.longestSeconds > 2.0", ["activity"]],
    ["has(steps.cancel)", ["cancel"]],
    ["has(steps.cancel) || steps.activity.connections > 3 || steps.activity.healthy", ["cancel", "activity"]],
    ["steps.activity.blockers.exists(one, one.seconds > steps.activity.longestSeconds)", ["activity"]],
    ["'steps.cancel' == labels.x", []],
  ])("%s needs %j", (condition, needs) => {
    const { notify } = loadedOf(`notify: [{ tell: paging, if: ${JSON.stringify(condition)} }]`).playbook;
    expect(notify).toEqual([{ contact: "paging", if: condition, needs }]);
  });

  test("are compiled, each beside its entry, in their order", () => {
    const loaded = loadedOf(`notify:
  - { tell: monitoring }
  - { tell: paging, if: steps.activity.longestSeconds > 2 }
  - { tell: paging, if: inputs.loud }
`);
    expect(loaded.notify.map(({ entry }) => entry)).toEqual(loaded.playbook.notify);
    const [always, slow, loud] = loaded.notify.map(({ condition }) => condition);
    expect(always).toBeNull();
    expect(slow?.({ ...values, steps: { activity: { longestSeconds: 2.5 } } })).toEqual({ ok: true, value: true });
    expect(slow?.({ ...values, steps: { activity: { longestSeconds: 1 } } })).toEqual({ ok: true, value: false });
    expect(slow?.(values)).toMatchObject({ ok: false, error: expect.stringContaining("has no output") });
    expect(loud?.(values)).toEqual({ ok: true, value: true });
  });
});

test.each([
  ["escalate: datbase", "16: the configuration has no escalation policy 'datbase'; did you mean database?"],
  ["escalate:\n  policy: datbase", "17: the configuration has no escalation policy 'datbase'; did you mean database?"],
  ["escalate:\n  policy: database\n  hld: 5m", "18: unknown key 'hld' in escalate; did you mean hold?"],
  ["escalate: { hold: 5m }", "16: escalate.policy is missing"],
  ["escalate: { policy: database, hold: 0s }", "16: escalate.hold must be longer than 0s"],
  ["escalate: 5", "16: escalate must be the name of a policy, or { policy, hold }"],
  ["escalate: [database]", "16: escalate must be the name of a policy, or { policy, hold }"],
  ["announce: later", "16: announce must be never, now or before"],
  ["announce: true", "16: announce must be never, now or before"],
  ["approvals: 0", "16: approvals must be a whole number from 1 to 20"],
  ["approvals: two", "16: approvals must be a number of people, or { atLeast, expireAfter, by }"],
  ["approvals: {}", "16: approvals asks for nothing; give atLeast, expireAfter or by"],
  ["approvals: { atLeast: 21 }", "16: approvals.atLeast must be a whole number from 1 to 20"],
  ["approvals: { atLeast: 1.5 }", "16: approvals.atLeast must be a whole number from 1 to 20"],
  [
    "approvals: { expireAfter: soon }",
    "16: approvals.expireAfter is not a duration; write one such as 90s, 10m, 2h or 7d",
  ],
  ["approvals:\n  by: dbas", "17: the configuration has no set of approvers 'dbas'; did you mean dba?"],
  ["approvals: { form: dba, atLeast: 2 }", "16: unknown key 'form' in approvals; there are: atLeast, expireAfter, by"],
  ["notify: monitoring", "16: notify must be a list of { tell, if }"],
  ["notify: [monitoring]", "16: notify[0] must be a map with tell, if"],
  ["notify:\n  - { if: inputs.loud }", "17: notify[0].tell is missing"],
  ["notify:\n  - { tell: pagin }", "17: the configuration has no contact 'pagin'; did you mean paging?"],
  ["notify:\n  - tell: paging\n    when: true", "18: unknown key 'when' in notify[0]; there are: tell, if"],
  ["notify:\n  - tell: paging\n    if: ''", "18: notify[0].if is empty"],
  [
    "notify:\n  - tell: paging\n    if: steps.activty.healthy",
    "18: if: there is no step 'activty'; did you mean activity?: steps.activty.healthy",
  ],
  [
    "notify:\n  - tell: paging\n    if: steps.activity.longestSeconds",
    "18: if: a condition must give bool (true or false), not double: steps.activity.longestSeconds",
  ],
  [
    "notify:\n  - tell: paging\n    if: output.healthy",
    "18: if: output exists only in expect; use steps.<id>: output.healthy",
  ],
])("%s is refused", (added, problem) => {
  expect(problemsOf(added)).toEqual([problem]);
});

test("a page is held for what can be measured only", () => {
  const held = "escalate: { policy: database, hold: 5m }\n";
  expect(problemsOf(held)).toEqual([]);
  const [blind] = good.split("verify:");
  const text = `${blind}${held}`;
  const { problems } = loadPlaybooks([{ file: "heal.yaml", text }], world);
  expect(problems.filter(({ severity }) => severity === "error").map(({ message }) => message)).toEqual([
    expect.stringContaining("hold needs verify"),
  ]);
});

test("several mistakes are told together", () => {
  expect(
    problemsOf("escalate: x\nannounce: x\napprovals: { by: x }\nnotify:\n  - { tell: x, if: x }\n  - 7\n"),
  ).toHaveLength(6);
});

test("an announcement that has no place is worth a warning, and no other is", () => {
  const nowhere = { ...world, announces: false };
  expect(problemsOf("announce: before", nowhere)).toEqual([
    expect.stringMatching(/^warning 16: announce: before has no effect, and the run does not wait/),
  ]);
  expect(problemsOf("announce: now", nowhere)).toEqual([]);
  expect(problemsOf("", nowhere)).toEqual([]);
});

test("announcements and approvals of a playbook that changes nothing are worth a warning", () => {
  const looks = `name: look
summary: Looks.
on: { request: true }
steps: [{ id: activity, do: postgres.activity }]
announce: before
approvals: 2
`;
  const problems = (text: string) =>
    loadPlaybooks([{ file: "look.yaml", text }], world).problems.map(({ line, message }) => `${line}: ${message}`);
  expect(problems(looks)).toEqual([
    "5: announce has no effect: no step of this playbook changes anything",
    "6: approvals has no effect: no step of this playbook changes anything",
  ]);
  expect(problems(looks.replace("before", "never").replace("approvals: 2\n", ""))).toEqual([]);
  // What a step with a mistake would do is not known.
  expect(problems(looks.replace("postgres.activity", "postgres.x"))).toHaveLength(1);
});
