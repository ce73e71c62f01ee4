/** Row 57: clicks of outsiders, guests, people without the role, of another app, channel or message are refused, recorded and explained. */

import { approveId, declineId } from "../../src/oncall/slack/action-ids.ts";
import type { Click } from "../support/slack-double-requests.ts";
import { type SlackHouse, startSlackHouse } from "../support/slack-house.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

let house: SlackHouse;

beforeAll(async () => {
  house = await startSlackHouse();
  const { slack } = house;
  // Each of them has the role by its id: what is wrong with them is to be found out by asking Slack.
  slack.addUser("U0LEAD");
  slack.addUser("U0STRANGER", { teamId: "T0ELSEWHERE" });
});
afterAll(() => house.stop());

interface Case {
  readonly what: string;
  readonly click: Partial<Click> & { readonly user: string };
  readonly before?: () => unknown;
  readonly after?: () => unknown;
  /** In the run's history. */
  readonly reason: RegExp;
  /** To the person. */
  readonly said: RegExp;
}

const cases: readonly Case[] = [
  {
    what: "somebody of another company in a shared channel",
    click: { user: "U0LEAD", userTeam: "T0ELSEWHERE" },
    reason: /^is from another workspace \(T0ELSEWHERE\)$/,
    said: /Only people of the workspace/,
  },
  {
    what: "a click in another workspace",
    click: { user: "U0LEAD", team: "T0ELSEWHERE" },
    reason: /^is from another workspace \(T0ELSEWHERE\)$/,
    said: /Only people of the workspace/,
  },
  {
    what: "somebody whom only Slack knows to be from elsewhere",
    click: { user: "U0CHIEF", userTeam: "T0PARAMEDIC" },
    before: () => house.slack.addUser("U0CHIEF", { teamId: "T0ELSEWHERE" }),
    after: () => house.slack.addUser("U0CHIEF"),
    reason: /^is from another workspace \(T0ELSEWHERE\)$/,
    said: /Your user is from another workspace/,
  },
  {
    what: "a guest",
    click: { user: "U0LEAD" },
    before: () => house.slack.addUser("U0LEAD", { kind: "guest" }),
    after: () => house.slack.addUser("U0LEAD"),
    reason: /^is a guest of the workspace$/,
    said: /Your user is a guest of the workspace\. These may: <@U0LEAD>, <@U0DEPUTY>/,
  },
  {
    what: "somebody who was deactivated a moment ago",
    click: { user: "U0LEAD" },
    before: () => house.slack.addUser("U0LEAD", { deactivated: true }),
    after: () => house.slack.addUser("U0LEAD"),
    reason: /^is deactivated in Slack$/,
    said: /deactivated/,
  },
  {
    what: "an operator",
    click: { user: "U0SHIFT" },
    reason: /^has the role operator, and this needs approver$/,
    said: /Your role is operator.*These may: <@U0LEAD>, <@U0DEPUTY>, <@U0CHIEF>, <!subteam\^S0ONCALL>\./s,
  },
  {
    what: "somebody without a role",
    click: { user: "U0NOBODY" },
    reason: /^has the role none, and this needs approver$/,
    said: /You have no role here.*These may: <@U0LEAD>/s,
  },
  {
    what: "another Slack app",
    click: { user: "U0LEAD", appId: "A0ANOTHER" },
    reason: /^came by another Slack app \(A0ANOTHER\)$/,
    said: /The message that counts/,
  },
  {
    what: "a button in another channel",
    click: { user: "U0LEAD", channel: "C0ELSEWHERE" },
    reason: /^pressed a button of another message \(C0ELSEWHERE, /,
    said: /The message that counts/,
  },
  {
    what: "a button of another message",
    click: { user: "U0LEAD", messageTs: "1700000000.000001" },
    reason: /^pressed a button of another message \(C0OPS, 1700000000\.000001\)$/,
    said: /The message that counts/,
  },
  {
    what: "somebody whom Slack cannot be asked about",
    click: { user: "U0LEAD" },
    before: () => house.slack.fail("users.info", { status: 500 }),
    after: () => house.slack.fail("users.info", null),
    reason: /^could not be looked up in Slack$/,
    said: /Slack could not be asked who you are/,
  },
];

test.each(cases)("$what does not approve", async ({ click, before, after, reason, said }) => {
  const { run, approval, message } = await house.ask();
  const earlier = house.slack.calls("chat.postEphemeral").length;
  await before?.();
  try {
    const sent = await house.slack.click({ message, actionId: approveId, ...click });
    expect(sent.status).toBe(200);
    const refused = await until(async () => (await house.events(run)).find(({ type }) => type === "answer-refused"));
    expect(refused).toMatchObject({ by: `slack:${click.user}`, approval, reason: expect.stringMatching(reason) });
    const call = await until(() => house.slack.calls("chat.postEphemeral")[earlier]);
    expect(call.args).toMatchObject({ user: click.user, text: expect.stringMatching(said) });
    expect(call.args["text"]).toMatch(/^This did not count\./);
    expect(await house.approval(approval)).toMatchObject({ state: "pending", decisions: [] });
    expect(house.lines).toContainEqual(
      expect.objectContaining({ message: "A click was refused", fields: expect.objectContaining({ approval, run }) }),
    );
  } finally {
    await after?.();
  }
});

test("what a message's button names is looked up: it decides about no other run", async () => {
  const one = await house.ask();
  const other = await house.ask();
  const value = JSON.stringify({ approval: other.approval, digest: other.digest, run: one.run });
  await house.slack.click({ message: one.message, actionId: approveId, user: "U0LEAD", value });
  const refused = await until(async () =>
    (await house.events(other.run)).find(({ type }) => type === "answer-refused"),
  );
  expect(refused).toMatchObject({ reason: "named another run" });
  // The other run's own words on this run's message.
  const whole = JSON.stringify({ approval: other.approval, digest: other.digest, run: other.run });
  await house.slack.click({ message: one.message, actionId: approveId, user: "U0LEAD", value: whole });
  await until(async () => (await house.events(other.run)).filter(({ type }) => type === "answer-refused").length === 2);
  for (const { approval } of [one, other]) expect((await house.approval(approval)).state).toBe("pending");
});

test.each(["not JSON", "{}", '{"run":"../../etc"}', '{"run":1,"approval":[],"digest":{}}'])(
  "a button whose value is %s does nothing",
  async (value) => {
    const { run, message } = await house.ask();
    const before = (await house.events(run)).length;
    const clicks = await house.store.sql("SELECT FROM paramedic.clicks");
    for (const actionId of [approveId, declineId]) {
      expect((await house.slack.click({ message, actionId, user: "U0LEAD", value })).status).toBe(200);
    }
    expect(await house.events(run)).toHaveLength(before);
    expect(await house.store.sql("SELECT FROM paramedic.clicks")).toHaveLength(clicks.length);
  },
);

test("a window that somebody else sends off is theirs to answer for", async () => {
  const { run, approval, message } = await house.ask();
  await house.slack.click({ message, actionId: declineId, user: "U0LEAD" });
  const view = await until(() => house.slack.views.at(-1));
  await house.slack.submit(view, { reason: "mine" }, { user: "U0SHIFT" });
  await house.slack.submit(view, { reason: "mine" }, { userTeam: "T0ELSEWHERE" });
  const refused = async () => (await house.events(run)).filter(({ type }) => type === "answer-refused");
  await until(async () => (await refused()).length === 2);
  expect((await house.approval(approval)).state).toBe("pending");
});

test.each(["approve", "decline", "run", "pause", "runs"])(
  "`/paramedic %s` of an outsider does nothing",
  async (verb) => {
    const { run, approval } = await house.ask();
    const runs = await house.store.sql("SELECT FROM paramedic.runs");
    const text = {
      approve: `approve ${run}`,
      decline: `decline ${run} no`,
      run: "run heal-ward ward why",
      pause: "pause why",
    };
    const earlier = house.slack.ephemerals.length;
    await house.slack.command(text[verb as keyof typeof text] ?? verb, { user: "U0LEAD", team: "T0ELSEWHERE" });
    const said = await until(() => house.slack.ephemerals[earlier]);
    expect(said.text).toContain("Only people of the workspace");
    expect((await house.approval(approval)).state).toBe("pending");
    expect((await house.store.switches.read()).paused).toBe(false);
    expect(await house.store.sql("SELECT FROM paramedic.runs")).toHaveLength(runs.length);
  },
);
