import { acknowledgeId, approveId, declineId } from "../../../src/oncall/slack/action-ids.ts";
import { createPeople } from "../../../src/oncall/slack/people.ts";
import { createSlackWeb } from "../../../src/oncall/slack/web.ts";
import { createOutbox } from "../../../src/store/outbox.ts";
import { groups, type SlackHouse, startSlackHouse, users } from "../../support/slack-house.ts";
import { until } from "../../support/until.ts";

jest.setTimeout(60_000);

let house: SlackHouse;

beforeEach(async () => {
  house = await startSlackHouse();
});
afterEach(async () => {
  const bugs = house.lines.filter(({ message }) => message.includes("bug"));
  await house.stop();
  expect(bugs).toEqual([]);
});

const decided = (approval: string) =>
  until(async () => {
    const found = await house.approval(approval);
    return found.state !== "pending" && found;
  });

test("a click of an approver approves, and the message becomes the record", async () => {
  const { run, approval, message } = await house.ask();
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  expect([sent.status, sent.body]).toEqual([200, ""]);
  expect(await decided(approval)).toMatchObject({
    state: "approved",
    decisions: [{ decision: "approve", by: "slack:U0LEAD", reason: null }],
  });
  expect(house.hinted).toContain(run);
  await until(() => !JSON.stringify(message.blocks).includes(approveId), { what: "the buttons to go" });
  expect(house.told("U0LEAD")).toEqual([]);
});

test("somebody who is an approver by their group approves", async () => {
  const { approval, message } = await house.ask();
  await house.slack.click({ message, actionId: approveId, user: "U0MATE" });
  expect((await decided(approval)).decisions).toMatchObject([{ by: "slack:U0MATE" }]);
});

test("Decline asks for the reason, and what is written there stands in the history", async () => {
  const { run, approval, message } = await house.ask();
  await house.slack.click({ message, actionId: declineId, user: "U0LEAD" });
  const view = await until(() => house.slack.views[0]);
  expect(JSON.stringify(view.view)).toContain("heal-ward on ward");
  expect((await house.approval(approval)).state).toBe("pending");
  const sent = await house.slack.submit(view, { reason: "the backup is running" });
  expect([sent.status, sent.body]).toEqual([200, ""]);
  expect(await decided(approval)).toMatchObject({
    state: "declined",
    decisions: [{ decision: "decline", by: "slack:U0LEAD", reason: "the backup is running" }],
  });
  expect(await house.events(run)).toContainEqual(
    expect.objectContaining({ type: "approval-answered", decision: "decline", reason: "the backup is running" }),
  );
});

test("a reason of spaces is asked for again, in the window", async () => {
  const { approval, message } = await house.ask();
  await house.slack.click({ message, actionId: declineId, user: "U0LEAD" });
  const view = await until(() => house.slack.views[0]);
  await house.slack.submit(view, { reason: "  " });
  expect([view.state, view.errors]).toEqual(["open", { reason: "Write a reason." }]);
  await house.slack.submit(view, { reason: "not now" });
  expect(await decided(approval)).toMatchObject({ state: "declined", decisions: [{ reason: "not now" }] });
});

test("the window only opens for people who may, and what it decides is looked up again when it is sent off", async () => {
  const { run, approval, message } = await house.ask();
  await house.slack.click({ message, actionId: declineId, user: "U0SHIFT" });
  await house.untilTold("U0SHIFT", "Your role is operator, and this needs approver");
  expect(house.slack.calls("views.open")).toEqual([]);
  await house.slack.click({ message, actionId: declineId, user: "U0MATE" });
  const view = await until(() => house.slack.views[0]);
  house.slack.setGroup("S0ONCALL", []);
  await house.slack.submit(view, { reason: "I was just removed" });
  await house.untilTold("U0MATE", "You have no role");
  expect((await house.approval(approval)).state).toBe("pending");
  expect((await house.events(run)).filter(({ type }) => type === "answer-refused")).toMatchObject([
    { by: "slack:U0SHIFT", reason: "has the role operator, and this needs approver" },
    { by: "slack:U0MATE", reason: "has the role none, and this needs approver" },
  ]);
});

test("where two must approve, the first is told who else may, and one person counts once", async () => {
  const { approval, message } = await house.ask({ atLeast: 2 });
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  expect(await house.untilTold("U0LEAD", "1 of 2")).toContain("<@U0DEPUTY>");
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  await house.untilTold("U0LEAD", "You have approved this already");
  expect(await house.approval(approval)).toMatchObject({ state: "pending", decisions: [{ by: "slack:U0LEAD" }] });
  await house.slack.click({ message, actionId: approveId, user: "U0MATE" });
  expect((await decided(approval)).state).toBe("approved");
});

test("an approval that asks for a set takes nobody else, and says who is in it", async () => {
  const { run, approval, message } = await house.ask({ approvers: ["dba"] });
  await house.slack.click({ message, actionId: approveId, user: "U0CHIEF" });
  const said = await house.untilTold("U0CHIEF", "You are not among the approvers `dba`");
  expect(said).toContain("It takes an approver who is in `dba` (<@U0DEPUTY>, the API token `dba-cli`).");
  expect(await house.events(run)).toContainEqual(
    expect.objectContaining({
      type: "answer-refused",
      by: "slack:U0CHIEF",
      reason: "is not among the approvers 'dba'",
    }),
  );
  await house.slack.click({ message, actionId: approveId, user: "U0DEPUTY" });
  expect((await decided(approval)).state).toBe("approved");
});

test("whoever requested a run does not approve its changes", async () => {
  const { run, approval, message } = await house.ask({ by: "slack:U0LEAD" });
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  expect(await house.untilTold("U0LEAD", "somebody else must approve")).toContain("<@U0DEPUTY>");
  expect((await house.approval(approval)).state).toBe("pending");
  expect(await house.events(run)).toContainEqual(expect.objectContaining({ reason: "requested the run" }));
});

test("a click after the time to decide, and one about a plan that has changed, do not count", async () => {
  const late = await house.ask({ expiresInMs: 1_500 });
  await until(async () => Date.parse((await house.approval(late.approval)).expiresAt) < Date.now());
  await house.slack.click({ message: late.message, actionId: approveId, user: "U0LEAD" });
  await house.untilTold("U0LEAD", "The time to decide ended");
  const { run, approval, message } = await house.ask();
  const value = JSON.stringify({ approval, run, digest: "sha256:another" });
  await house.slack.click({ message, actionId: approveId, user: "U0DEPUTY", value });
  await house.untilTold("U0DEPUTY", "not the plan that waits");
  expect((await house.approval(approval)).state).toBe("pending");
  expect((await house.approval(late.approval)).decisions).toEqual([]);
});

async function refusedToHave(run: string): Promise<readonly string[]> {
  return (await house.events(run)).flatMap((event) =>
    event.type === "acknowledge-refused" ? [`${event.by} ${event.reason}`] : [],
  );
}

test("I have it is taken from an operator, once, and whoever comes later is told who has it", async () => {
  const { run, message } = await house.handOver();
  await house.slack.click({ message, actionId: acknowledgeId, user: "U0SCREEN" });
  const said = await house.untilTold("U0SCREEN", "Your role is viewer, and this needs operator");
  expect(said).toContain("These may: <@U0SHIFT>, <@U0LEAD>, <@U0DEPUTY>, <@U0CHIEF>, <!subteam^S0ONCALL>.");
  await house.slack.click({ message, actionId: acknowledgeId, user: "U0SHIFT" });
  await until(async () => (await house.events(run)).find(({ type }) => type === "acknowledged"));
  await house.slack.click({ message, actionId: acknowledgeId, user: "U0LEAD", stale: true });
  await house.untilTold("U0LEAD", "<@U0SHIFT> has it already");
  await house.slack.click({ message, actionId: acknowledgeId, user: "U0SHIFT", stale: true });
  await house.untilTold("U0SHIFT", "You have it already");
  const asked = await house.ask();
  const value = JSON.stringify({ run: asked.run });
  await house.slack.click({ message, actionId: acknowledgeId, user: "U0CHIEF", value, stale: true });
  await house.untilTold("U0CHIEF", "was not handed over");
  expect((await house.events(run)).filter(({ type }) => type === "acknowledged")).toMatchObject([
    { by: "slack:U0SHIFT" },
  ]);
  expect(await refusedToHave(run)).toEqual([
    "slack:U0SCREEN has the role viewer, and this needs operator",
    "slack:U0LEAD came after slack:U0SHIFT had it",
    "slack:U0SHIFT has it already",
  ]);
  expect(await refusedToHave(asked.run)).toEqual(["slack:U0CHIEF named a run that was not handed over"]);
});

test("a click that arrives before its process could handle it is handled by another process, once", async () => {
  const { approval, message } = await house.ask();
  // Keeps the click and goes no further, as a process that is killed.
  const killed = await house.another({ approval: () => new Promise(() => undefined) });
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: killed.url });
  expect(sent.status).toBe(200);
  const { signal } = new AbortController();
  await house.doors.sweep(signal);
  expect((await house.approval(approval)).state).toBe("pending");
  await house.store.sql("UPDATE paramedic.clicks SET received_at = now() - interval '1 minute'");
  const other = await house.another();
  await Promise.all([house.doors.sweep(signal), other.doors.sweep(signal)]);
  expect(await decided(approval)).toMatchObject({ state: "approved", decisions: [{ by: "slack:U0LEAD" }] });
  await house.store.sql("UPDATE paramedic.clicks SET lease_until = NULL");
  await house.doors.sweep(signal);
  expect((await house.approval(approval)).decisions).toHaveLength(1);
  expect(await house.store.sql("SELECT FROM paramedic.clicks WHERE handled_at IS NULL")).toEqual([]);
  expect(house.told("U0LEAD")).toEqual([]);
});

test("a click that counted before its process stopped is not refused when it is swept up", async () => {
  const { run, message } = await house.ask();
  const killed = await house.another({ clickHandled: () => new Promise(() => undefined) });
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: killed.url });
  await until(async () => (await house.events(run)).find(({ type }) => type === "approval-answered"));
  await house.store.sql("UPDATE paramedic.clicks SET received_at = now() - interval '1 minute'");
  await house.doors.sweep(new AbortController().signal);
  expect(await house.store.sql("SELECT FROM paramedic.clicks WHERE handled_at IS NULL")).toEqual([]);
  expect((await house.events(run)).map(({ type }) => type)).not.toContain("answer-refused");
  expect(house.told("U0LEAD")).toEqual([]);
});

const unhandled = () => house.store.sql("SELECT FROM paramedic.clicks WHERE handled_at IS NULL");
const leftBehind = () => house.store.sql("UPDATE paramedic.clicks SET received_at = now() - interval '1 minute'");

test("clicks that were left behind are handled together while Slack is slow, all of them in one sweep", async () => {
  const count = 10;
  const killed = await house.another({ approval: () => new Promise(() => undefined) });
  const asked = await Promise.all(Array.from({ length: count }, () => house.ask()));
  for (const { message } of asked) {
    await house.slack.click({ message, actionId: approveId, user: "U0MATE", to: killed.url });
  }
  await leftBehind();
  const slowMs = 800;
  house.slack.fail("users.info", { afterMs: slowMs });
  const beganAt = performance.now();
  await house.doors.sweep(new AbortController().signal);
  expect(performance.now() - beganAt).toBeLessThan((count * slowMs) / 2);
  for (const { approval } of asked) expect((await house.approval(approval)).state).toBe("approved");
  expect(await unhandled()).toEqual([]);
});

test.each([
  ["an approval", "U0LEAD", "approval-answered"],
  ["what would be refused", "U0SCREEN", "answer-refused"],
] as const)(
  "a process that stops while Slack does not say who clicked leaves %s to others, who decide it once",
  async (_case, user, outcome) => {
    const { run, message } = await house.ask();
    // With the bound of real processes, which is longer than a stop takes.
    const web = createSlackWeb({ token: house.slack.botToken, apiUrl: house.slack.apiUrl });
    const stopping = await house.another({
      people: createPeople({ web, users, groups, approverGroups: [], cacheMs: 0 }),
    });
    house.slack.fail("users.info", "hang");
    await house.slack.click({ message, actionId: approveId, user, to: stopping.url });
    await until(() => house.slack.calls("users.info").length === 1);
    await stopping.doors.stop();
    house.slack.fail("users.info", null);
    const types = async () => (await house.events(run)).map(({ type }) => type);
    expect(await types()).not.toContain("answer-refused");
    expect(await unhandled()).toHaveLength(1);
    await leftBehind();
    await house.doors.sweep(new AbortController().signal);
    expect((await types()).filter((type) => type === outcome)).toHaveLength(1);
    expect(await unhandled()).toEqual([]);
    if (user === "U0SCREEN") await house.untilTold(user, "Your role is viewer");
  },
);

test("a process that Slack has kept waiting until another one decided the click refuses nobody", async () => {
  const { run, message } = await house.ask();
  const web = createSlackWeb({ token: house.slack.botToken, apiUrl: house.slack.apiUrl, timeoutMs: 15_000 });
  const waiting = await house.another({ people: createPeople({ web, users, groups, approverGroups: [], cacheMs: 0 }) });
  house.slack.fail("users.info", { afterMs: 9_500 }, 1);
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: waiting.url });
  await until(() => house.slack.calls("users.info").length === 1);
  await leftBehind();
  await house.doors.sweep(new AbortController().signal);
  expect((await house.events(run)).map(({ type }) => type)).toContain("approval-answered");
  const handledAt = async () => {
    const [row] = await house.store.sql("SELECT handled_at::text AS at FROM paramedic.clicks");
    return String(row?.["at"]);
  };
  const swept = await handledAt();
  await until(async () => (await handledAt()) !== swept, { timeoutMs: 15_000 });
  expect((await house.events(run)).map(({ type }) => type)).not.toContain("answer-refused");
  expect(house.told("U0LEAD")).toEqual([]);
});

test("a command whose process stops is said to be interrupted, and nobody is refused for it", async () => {
  const { run } = await house.ask();
  const web = createSlackWeb({ token: house.slack.botToken, apiUrl: house.slack.apiUrl });
  const stopping = await house.another({
    people: createPeople({ web, users, groups, approverGroups: [], cacheMs: 0 }),
  });
  house.slack.fail("users.info", "hang");
  await house.slack.command(`approve ${run}`, { user: "U0LEAD", to: stopping.url });
  await until(() => house.slack.calls("users.info").length === 1);
  await stopping.doors.stop();
  house.slack.fail("users.info", null);
  await leftBehind();
  await house.doors.sweep(new AbortController().signal);
  await house.untilTold("U0LEAD", "Paramedic was interrupted during");
  expect((await house.events(run)).map(({ type }) => type)).not.toContain("answer-refused");
});

const slowPostMs = 1_700;

test("a click on a message whose post Slack has not yet answered waits for that, and counts", async () => {
  house.slack.fail("chat.postMessage", { afterMs: slowPostMs }, 1);
  const { run, approval, message } = await house.ask({ untilPlaced: false });
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  expect(await createOutbox(house.store.database).recordPlace(run)).toBeNull();
  expect((await decided(approval)).decisions).toMatchObject([{ by: "slack:U0LEAD" }]);
  expect((await house.events(run)).map(({ type }) => type)).not.toContain("answer-refused");
});

test("the same where the message takes the place of one that was deleted", async () => {
  const { run, approval, message } = await house.ask({ atLeast: 2 });
  house.slack.deleteMessage(message);
  house.slack.fail("chat.postMessage", { afterMs: slowPostMs }, 1);
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  const anew = await until(() => house.slack.messages().find(({ blocks }) => JSON.stringify(blocks).includes(run)));
  await house.slack.click({ message: anew, actionId: approveId, user: "U0DEPUTY" });
  expect((await decided(approval)).decisions).toMatchObject([{ by: "slack:U0LEAD" }, { by: "slack:U0DEPUTY" }]);
  expect((await house.events(run)).map(({ type }) => type)).not.toContain("answer-refused");
});

test("a message of which Slack never says that it stands decides nothing, and whoever clicked it is shown the one that counts", async () => {
  house.slack.fail("chat.postMessage", "answer-lost");
  const { run, approval, message } = await house.ask({ untilPlaced: false });
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  await house.slack.click({ message, actionId: declineId, user: "U0DEPUTY" });
  await house.untilTold("U0DEPUTY", "Press Decline again");
  await until(() => house.lines.find(({ message: said }) => said === "A click is looked at again later"), {
    timeoutMs: 15_000,
  });
  expect(await unhandled()).toHaveLength(1);
  expect((await house.approval(approval)).state).toBe("pending");
  house.slack.fail("chat.postMessage", null);
  const counts = await until(() => createOutbox(house.store.database).recordPlace(run), { timeoutMs: 15_000 });
  await leftBehind();
  await house.doors.sweep(new AbortController().signal);
  const where = `https://paramedic-test.slack.com/archives/C0OPS/p${String(counts["ts"]).replace(".", "")}`;
  await house.untilTold("U0LEAD", `<${where}|The message that counts> is the newest one about this run`);
  expect((await house.approval(approval)).state).toBe("pending");
  expect(await unhandled()).toEqual([]);
});

test("a store that is away is said to whoever clicked, and nothing counts", async () => {
  const { run, approval, message } = await house.ask();
  const away = async () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
  const { url } = await house.another({ keepClick: away });
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: url });
  expect(sent.status).toBe(200);
  const said = await house.untilTold("U0LEAD", "may not be recorded");
  expect(said).toContain(`paramedic approve ${run}`);
  expect((await house.approval(approval)).state).toBe("pending");
  await house.slack.click({ message, actionId: declineId, user: "U0LEAD" });
  const view = await until(() => house.slack.views[0]);
  await house.slack.submit(view, { reason: "not now" }, { to: url });
  expect([view.state, JSON.stringify(view.errors)]).toEqual(["open", expect.stringContaining("did not confirm")]);
});

test("while Slack has not said which workspace is ours, no click counts", async () => {
  const { approval, message } = await house.ask();
  house.slack.fail("auth.test", { status: 503 });
  const other = await house.another();
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: other.url });
  await house.untilTold("U0LEAD", "not yet confirmed");
  expect((await house.approval(approval)).state).toBe("pending");
  house.slack.fail("auth.test", null);
  await until(async () => {
    // Once one has counted, the message may have no button any more.
    if ((await house.approval(approval)).state === "approved") return true;
    await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: other.url });
    return false;
  });
});
