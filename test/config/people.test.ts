/** Who approves, who is told, and where changes are announced. */

import { type ConfigFolder, createConfigFolder, minimal } from "../support/config-file.ts";

let files: ConfigFolder;

beforeAll(() => {
  files = createConfigFolder();
});

afterAll(() => files.remove());

const env = { KEY: "some-credential", PD_KEY: "pd-canary", ONCALL: "oncall-canary", VIEW: "viewer-canary" };

const tokens = `api:
  tokens:
    - { name: oncall-cli, role: approver, secret: { env: ONCALL } }
    - { name: wall, role: viewer, secret: { env: VIEW } }
`;

function slackWith(rest: string): string {
  return `slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: '#ops'${rest} }\n`;
}

function warnings(text: string): readonly string[] {
  return files.config(`${minimal}${text}`, env).warnings.map(({ line, message }) => `${line}: ${message}`);
}

test("approvers, contacts, announcements and severities are read", () => {
  const config = files.config(
    `${minimal}${tokens}${slackWith(", users: { U024BE7LH: approver }")}
approvals: { expireAfter: 30m, atLeast: 1, escalateAfter: 5m }
approvers:
  dba: { users: [U024BE7LH], groups: [S0614TZR7], tokens: [oncall-cli] }
  cli: { tokens: [oncall-cli] }
targets:
  one: { approvals: { by: dba, atLeast: 2, expireAfter: 10m } }
  two: { approvals: { atLeast: 3 } }
  three: {}
contacts:
  paging: { pagerduty: { env: PD_KEY } }
  room: { slack: C024BE91L }
announcements: { slack: '#changes', leadTime: 90s }
pagerduty: { routingKey: { env: KEY }, severities: { page: critical, warning: info } }
`,
    env,
  );
  expect(config.approvals).toEqual({ expireAfterMs: 1_800_000, atLeast: 1, escalateAfterMs: 300_000 });
  expect([...config.approvers]).toEqual([
    ["dba", { name: "dba", users: ["U024BE7LH"], groups: ["S0614TZR7"], tokens: ["oncall-cli"] }],
    ["cli", { name: "cli", users: [], groups: [], tokens: ["oncall-cli"] }],
  ]);
  expect(config.targets.map(({ approvals }) => approvals)).toEqual([
    { by: "dba", atLeast: 2, expireAfterMs: 600_000 },
    { by: null, atLeast: 3, expireAfterMs: null },
    undefined,
  ]);
  expect(config.contacts.get("paging")).toMatchObject({ email: [], slack: null });
  expect(config.contacts.get("paging")?.pagerduty?.reveal()).toBe("pd-canary");
  expect(config.contacts.get("room")).toEqual({ email: [], slack: "C024BE91L", pagerduty: null });
  expect(config.announcements).toEqual({ slack: "#changes", leadMs: 90_000 });
  expect({ ...config.pagerduty?.severities }).toEqual({
    critical: "critical",
    error: "error",
    warning: "info",
    info: "info",
    page: "critical",
  });
  expect(config.secrets).toContain("pd-canary");
  expect(config.warnings.map(({ message }) => message)).toEqual([expect.stringContaining("counts as two")]);
});

test("announcements go to Slack's own channel where none is named, and nowhere without Slack", () => {
  const users = ", users: { U024BE7LH: admin }";
  expect(files.config(`${minimal}${slackWith(users)}`, env).announcements.slack).toBe("#ops");
  expect(files.config(`${minimal}announcements: { slack: '#changes' }`, env).announcements.slack).toBeNull();
});

test("a set of approvers names tokens that exist and may approve, and somebody who may", () => {
  const text = `${minimal}${tokens}approvers:
  typo: { tokens: [oncal-cli] }
  viewer: { tokens: [oncall-cli, wall] }
  nobody: { users: [U024BE7LH] }
targets:
  a: { approvals: { by: dbas } }
  b: { approvals: { by: viewer, atLeast: 3 } }
`;
  expect(files.problems(text, env)).toEqual([
    "7: approvers.typo.tokens[0]: is not the name of a token of api.tokens, which has oncall-cli, wall",
    "8: approvers.viewer.tokens[1]: the token has the role viewer, and approving needs approver",
    expect.stringMatching(/^9: approvers.nobody: nobody in this set may approve/),
    "11: targets.a.approvals.by: there is no set of approvers 'dbas'; the section approvers has typo, viewer, nobody",
    "12: targets.b.approvals.by: 3 people must approve, and 'viewer' has only 2",
  ]);
});

test("a user may have the role by a group, and the members of a group by themselves", () => {
  const sets = "approvers: { a: { users: [U1AAAAAAA] }, b: { groups: [S2AAAAAAA] } }\n";
  expect(files.problems(`${minimal}${slackWith("")}${sets}`, env)).toHaveLength(2);
  expect(files.problems(`${minimal}${slackWith(", groups: { S1AAAAAAA: operator }")}${sets}`, env)).toHaveLength(2);
  expect(warnings(`${slackWith(", groups: { S1AAAAAAA: approver }")}${sets}`)).toEqual([]);
  expect(files.problems(`${minimal}${slackWith(", users: { U2AAAAAAA: admin }")}${sets}`, env)).toEqual([
    expect.stringMatching(/approvers.a: nobody in this set/),
  ]);
});

const toldByMail = "a: [{ after: 0s, email: [a@example.net] }]";

test.each([
  ["an escalation level by mail", `escalation: { ${toldByMail} }`, "2: escalation.a[0].email: names people, but"],
  [
    "an escalation level in Slack",
    "escalation: { a: [{ after: 0s, slack: '#x' }] }",
    "2: escalation.a[0].slack: names",
  ],
  [
    "a contact by mail",
    "contacts: { a: { email: [a@example.net] } }",
    "2: contacts.a.email: names people, but without",
  ],
  ["a contact in Slack", "contacts: { a: { slack: '#x' } }", "2: contacts.a.slack: names a channel, but without"],
  ["announcements in Slack", "announcements: { slack: '#x' }", "2: announcements.slack: names a channel, but without"],
  ["announcements anywhere", "announcements: { leadTime: 1m }", "2: announcements: there is no place for them"],
  ["Slack without an approver", slackWith(", users: { U024BE7LH: operator }"), "2: slack: nobody may approve in Slack"],
  ["Slack without anybody", slackWith(""), "2: slack: nobody may approve in Slack"],
  [
    "approvers in Slack without it",
    `${tokens}approvers: { a: { tokens: [oncall-cli], users: [U024BE7LH] } }`,
    "6: approvers.a.users[0]: can decide nothing without the section `slack`",
  ],
  [
    "an approver without the role",
    `${tokens}${slackWith(", users: { U1AAAAAAA: approver }")}approvers: { a: { users: [U1AAAAAAA, U024BE7LH] } }`,
    "7: approvers.a.users[1]: has no role approver by slack.users or slack.groups",
  ],
  [
    "an escalation after the approval has expired",
    "approvals: { expireAfter: 1m, escalateAfter: 1m }",
    "2: approvals.escalateAfter: has no effect: approvals expire before, after 1m",
  ],
  [
    "a target that asks for fewer people than everywhere",
    "approvals: { atLeast: 2 }\ntargets: { a: { approvals: { atLeast: 1 } } }",
    "3: targets.a.approvals.atLeast: has no effect: approvals.atLeast asks for 2 everywhere",
  ],
  [
    "a target that gives people longer than anywhere",
    "targets: { a: { approvals: { expireAfter: 1h } } }",
    "2: targets.a.approvals.expireAfter: has no effect: approvals.expireAfter is 30m",
  ],
])("%s does nothing, which is said", (_, text, warning) => {
  expect(warnings(text)).toEqual([expect.stringContaining(warning)]);
});

const personal = `api:
  tokens:
    - { name: ann-cli, role: approver, secret: { env: ONCALL }, slack: U024BE7LH }
    - { name: wall, role: viewer, secret: { env: VIEW } }
`;

test("a token may name its person, who is in a set by both doors", () => {
  const config = files.config(
    `${minimal}${personal}${slackWith(", users: { U024BE7LH: approver }")}
approvers:
  by-user: { users: [U024BE7LH] }
  by-token: { tokens: [ann-cli] }
`,
    env,
  );
  expect(config.api.tokens.map(({ name, slack }) => [name, slack])).toEqual([
    ["ann-cli", "U024BE7LH"],
    ["wall", null],
  ]);
  for (const set of config.approvers.values()) {
    expect(set).toMatchObject({ users: ["U024BE7LH"], tokens: ["ann-cli"] });
  }
});

test("a token's person is the id of a Slack user, and one person by both doors is no second one of a set", () => {
  expect(files.problems(`${minimal}${personal.replace("U024BE7LH", "ann")}`, env)).toEqual([
    expect.stringContaining("api.tokens[0].slack"),
  ]);
  expect(
    files.problems(
      `${minimal}${personal}${slackWith(", users: { U024BE7LH: approver }")}
approvers: { both: { users: [U024BE7LH], tokens: [ann-cli] } }
targets: { one: { approvals: { by: both, atLeast: 2 } } }
`,
      env,
    ),
  ).toEqual([expect.stringContaining("2 people must approve, and 'both' has only 1")]);
});

test("who may approve by a token of their own needs no role in Slack to be in a set", () => {
  expect(
    warnings(`${personal}${slackWith(", users: { U0OTHER1: approver }")}approvers: { dba: { users: [U024BE7LH] } }\n`),
  ).toEqual([]);
});

describe("where two people must approve, a token that names nobody", () => {
  const slack = slackWith(", users: { U024BE7LH: approver }");
  const counts = expect.stringContaining("whoever answers with oncall-cli and in Slack counts as two");

  test.each([
    ["approvals: { atLeast: 2 }\n"],
    ["targets: { one: { approvals: { atLeast: 2 } } }\n"],
    ["approvals: { atLeast: 2 }\ntargets: { one: { approvals: { atLeast: 3 } } }\n"],
  ])("is told, once: %s", (asks) => {
    expect(warnings(`${tokens}${slack}${asks}`)).toEqual([counts]);
  });

  test("is not told where it is somebody's, where nobody answers in Slack, and where one is enough", () => {
    expect(warnings(`${personal}${slack}approvals: { atLeast: 2 }\n`)).toEqual([]);
    expect(warnings(`${tokens}approvals: { atLeast: 2 }\n`)).toEqual([]);
    const config = files.config(`${minimal}${tokens}${slack}`, env);
    expect(config.warnings).toEqual([]);
    expect(config.warningsForTwo.map(({ message }) => message)).toEqual([counts]);
  });
});
