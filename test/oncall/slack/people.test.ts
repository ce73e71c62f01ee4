/** Who somebody of Slack is, against the double over real HTTP. */

import { setMaxListeners } from "node:events";
import type { JsonObject } from "../../../src/domain/json.ts";
import type { Role } from "../../../src/domain/role.ts";
import { createPeople, type People } from "../../../src/oncall/slack/people.ts";
import { createSlackWeb } from "../../../src/oncall/slack/web.ts";
import type { WebCall } from "../../../src/oncall/slack/web-call.ts";
import { cleaningUp } from "../../support/clean-up.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";

const undo = cleaningUp();
const never = new AbortController().signal;
let slack: SlackDouble;

beforeEach(async () => {
  slack = await startSlackDouble();
  undo(() => slack.stop());
  for (const id of ["UALICE", "UBOB", "UCAROL"]) slack.addUser(id);
  slack.setGroup("SAPPROVERS", ["UALICE"]);
  slack.setGroup("SVIEWERS", ["UALICE", "UBOB"]);
  slack.setGroup("SDBA", ["UALICE", "UBOB", "UCAROL"]);
});

function peopleOf(given: {
  users?: Readonly<Record<string, Role>>;
  groups?: Readonly<Record<string, Role>>;
  approverGroups?: readonly string[];
  cacheMs?: number;
}): People {
  return createPeople({
    web: createSlackWeb({ token: slack.botToken, apiUrl: slack.apiUrl, timeoutMs: 2_000 }),
    users: new Map(Object.entries(given.users ?? {})),
    groups: new Map(Object.entries(given.groups ?? { SAPPROVERS: "approver", SVIEWERS: "viewer" })),
    approverGroups: given.approverGroups ?? [],
    cacheMs: given.cacheMs ?? 60_000,
  });
}

const cached = { fresh: false };
const fresh = { fresh: true };

test("the role is the highest of the user's own and of those of their groups", async () => {
  const people = peopleOf({ users: { UBOB: "operator", UALICE: "viewer" } });
  expect(await people.find("UALICE", cached, never)).toMatchObject({ ok: true, person: { role: "approver" } });
  expect(await people.find("UBOB", cached, never)).toMatchObject({ ok: true, person: { role: "operator" } });
  expect(await people.find("UCAROL", cached, never)).toEqual({
    ok: true,
    person: { who: "slack:UCAROL", role: null, groups: [] },
  });
});

test("the groups of approver sets are among an approver's groups, also where they give no role", async () => {
  const people = peopleOf({ approverGroups: ["SDBA", "SAPPROVERS"] });
  const found = await people.find("UALICE", fresh, never);
  expect(found.ok && [...found.person.groups].sort()).toEqual(["SAPPROVERS", "SDBA", "SVIEWERS"]);
});

test("somebody whom no group can give more is found without asking Slack", async () => {
  const people = peopleOf({ users: { UALICE: "approver" }, groups: { SVIEWERS: "viewer" } });
  expect(await people.find("UALICE", cached, never)).toMatchObject({ ok: true, person: { role: "approver" } });
  expect(slack.calls()).toEqual([]);
});

test("members are kept for as long as the cache says, and a fresh look sees who has left", async () => {
  const people = peopleOf({});
  await people.find("UALICE", cached, never);
  slack.setGroup("SAPPROVERS", []);
  expect(await people.find("UALICE", cached, never)).toMatchObject({ person: { role: "approver" } });
  expect(slack.calls("usergroups.users.list")).toHaveLength(2);
  expect(await people.find("UALICE", fresh, never)).toMatchObject({ person: { role: "viewer" } });
  expect(await people.find("UALICE", cached, never)).toMatchObject({ person: { role: "viewer" } });

  const forgetful = peopleOf({ cacheMs: 0 });
  slack.setGroup("SAPPROVERS", ["UALICE"]);
  await forgetful.find("UALICE", cached, never);
  slack.setGroup("SAPPROVERS", []);
  expect(await forgetful.find("UALICE", cached, never)).toMatchObject({ person: { role: "viewer" } });
});

test.each([
  ["usergroups.users.list", { error: "internal_error" }, true],
  ["usergroups.users.list", { retryAfter: 20 }, true],
  ["users.info", "hang", true],
  ["users.info", { error: "account_inactive" }, false],
  ["auth.test", { status: 500 }, true],
] as const)(
  "a fresh look that fails at %s with %j is no yes, whatever was known before",
  async (method, failure, retryable) => {
    const people = peopleOf({});
    expect(await people.find("UALICE", cached, never)).toMatchObject({ ok: true });
    slack.fail(method, failure);
    const found = await people.find("UALICE", fresh, never);
    expect(found).toMatchObject({ ok: false, refused: false, retryable });
  },
);

test("those who click at one moment share one look at each group, and who comes later has one of their own", async () => {
  const people = peopleOf({});
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  slack.fail("usergroups.users.list", { afterMs: 200 });
  const found = await Promise.all(Array.from({ length: 10 }, () => people.find("UALICE", fresh, signal)));
  for (const one of found) expect(one).toMatchObject({ ok: true, person: { role: "approver" } });
  expect(slack.calls("usergroups.users.list")).toHaveLength(2);
  slack.setGroup("SAPPROVERS", []);
  expect(await people.find("UALICE", fresh, signal)).toMatchObject({ person: { role: "viewer" } });
  expect(slack.calls("usergroups.users.list")).toHaveLength(4);
});

test("a look of somebody who stops ends nobody else's", async () => {
  const people = peopleOf({});
  slack.fail("usergroups.users.list", { afterMs: 300 });
  const stopped = new AbortController();
  const first = people.find("UALICE", fresh, stopped.signal);
  const second = people.find("UALICE", fresh, never);
  stopped.abort();
  expect(await first).toMatchObject({ ok: false });
  expect(await second).toMatchObject({ ok: true, person: { role: "approver" } });
});

test.each(["usergroups.users.list", "users.info", "auth.test"])(
  "where Slack takes no more calls of %s for a second, it is asked once more after that",
  async (method) => {
    slack.fail(method, { retryAfter: 1 }, 1);
    expect(await peopleOf({}).find("UALICE", fresh, never)).toMatchObject({ ok: true, person: { role: "approver" } });
    slack.fail(method, { retryAfter: 1 });
    expect(await peopleOf({}).find("UALICE", fresh, never)).toMatchObject({ ok: false, retryable: true });
  },
);

test("a scope that the app lacks is named", async () => {
  slack.scopes.delete("users:read");
  const found = await peopleOf({}).find("UALICE", fresh, never);
  expect(found).toMatchObject({
    ok: false,
    refused: false,
    retryable: false,
    reason: expect.stringContaining("users:read"),
  });
});

test.each([
  ["is deactivated", { deactivated: true }],
  ["is a guest", { kind: "guest" }],
  ["is a guest", { kind: "single-channel-guest" }],
  ["is a bot", { kind: "bot" }],
  ["is from another workspace", { teamId: "T0ELSEWHERE" }],
] as const)("whoever %s is refused by a fresh look, whatever the configuration gives them", async (reason, about) => {
  slack.addUser("UALICE", about);
  const found = await peopleOf({ users: { UALICE: "admin" } }).find("UALICE", fresh, never);
  expect(found).toMatchObject({ ok: false, refused: true, reason: expect.stringContaining(reason) });
});

test("a guest is called a guest also while Slack does not say which workspace is ours", async () => {
  slack.addUser("UALICE", { kind: "guest" });
  slack.fail("auth.test", { status: 503 });
  const found = await peopleOf({ users: { UALICE: "admin" } }).find("UALICE", fresh, never);
  expect(found).toMatchObject({ ok: false, refused: true, reason: "is a guest of the workspace" });
});

test("on an Enterprise Grid, people of its other workspaces are our own and those of another organisation are not", async () => {
  const answers: Readonly<Record<string, JsonObject>> = {
    "auth.test": { ok: true, team_id: "T1", enterprise_id: "E1" },
    "users.info": { ok: true, user: { team_id: "T2", enterprise_user: { enterprise_id: "E1" } } },
  };
  const find = async (own: JsonObject) => {
    const web: WebCall = async (method) => ({ ok: true, response: { ...answers[method], ...own } });
    const users = new Map([["UALICE", "approver"]] as const);
    const people = createPeople({ web, users, groups: new Map(), approverGroups: [], cacheMs: 0 });
    return await people.find("UALICE", fresh, never);
  };
  expect(await find({})).toMatchObject({ ok: true, person: { role: "approver" } });
  expect(await find({ enterprise_id: "E2" })).toMatchObject({ ok: false, refused: true });
  expect(await find({ enterprise_id: null })).toMatchObject({ ok: false, refused: true });
});

test("somebody whom Slack does not know is refused", async () => {
  const people = peopleOf({ users: { UNOBODY: "admin" } });
  expect(await people.find("UNOBODY", fresh, never)).toMatchObject({ ok: false, refused: true });
});

test("a configured group that is gone has no members, and the others still count", async () => {
  slack.removeGroup("SVIEWERS");
  expect(await peopleOf({}).find("UALICE", fresh, never)).toMatchObject({ ok: true, person: { role: "approver" } });
  slack.removeGroup("SAPPROVERS");
  expect(await peopleOf({}).find("UALICE", fresh, never)).toMatchObject({ ok: true, person: { role: null } });
});

test("an aborted signal ends the look", async () => {
  slack.fail("*", "hang");
  expect(await peopleOf({}).find("UALICE", fresh, AbortSignal.abort())).toMatchObject({ ok: false, retryable: true });
});
