/** Row 56: a click counts once, however often it is delivered, to however many processes, and when its store is slow. */

import { approveId, declineId } from "../../src/oncall/slack/action-ids.ts";
import { type SlackHouse, startSlackHouse } from "../support/slack-house.ts";
import { sleep, until } from "../support/until.ts";

jest.setTimeout(60_000);

let house: SlackHouse;

beforeEach(async () => {
  house = await startSlackHouse();
});
afterEach(() => house.stop());

const answers = async (run: string) => (await house.events(run)).filter(({ type }) => type === "approval-answered");
const refused = async (run: string) => (await house.events(run)).filter(({ type }) => type === "answer-refused");

test("the same bytes once more show who decided, and decide nothing", async () => {
  const { run, approval, message } = await house.ask();
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  await until(async () => (await house.approval(approval)).state === "approved");
  const again = await house.slack.resend(sent);
  expect(again.status).toBe(200);
  expect(await house.untilTold("U0LEAD", "already decided")).toMatch(
    /^This is already decided: approved by <@U0LEAD>, <!date\^\d+\^/,
  );
  expect(await answers(run)).toHaveLength(1);
  expect(await refused(run)).toEqual([]);
});

test("the same bytes at two processes at one time are one decision", async () => {
  const other = await house.another();
  const { run, approval, message } = await house.ask({ atLeast: 2 });
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: other.url });
  await Promise.all([
    house.slack.resend(sent, house.url),
    house.slack.resend(sent, other.url),
    house.slack.resend(sent),
  ]);
  await until(async () => (await answers(run)).length > 0);
  await until(
    async () => (await house.store.sql("SELECT FROM paramedic.clicks WHERE handled_at IS NULL")).length === 0,
  );
  expect(await house.store.sql("SELECT count(*)::int AS count FROM paramedic.clicks")).toEqual([{ count: 1 }]);
  expect(await house.approval(approval)).toMatchObject({ state: "pending", decisions: [{ by: "slack:U0LEAD" }] });
  expect(await answers(run)).toHaveLength(1);
  expect(await refused(run)).toEqual([]);
});

test("a double click, and the clicks of two people at two processes, are one decision; the others learn whose", async () => {
  const other = await house.another();
  const { run, message } = await house.ask();
  const click = (user: string, to: string) => house.slack.click({ message, actionId: approveId, user, to });
  await Promise.all([
    click("U0LEAD", house.url),
    click("U0LEAD", house.url),
    click("U0DEPUTY", other.url),
    click("U0CHIEF", other.url),
  ]);
  await until(async () => (await refused(run)).length === 3);
  const [decision] = await answers(run);
  expect(await answers(run)).toHaveLength(1);
  expect(await refused(run)).toMatchObject(Array(3).fill({ reason: "came after it was decided" }));
  await until(() => house.slack.ephemerals.length === 3);
  const by = (decision as unknown as { readonly by: string }).by.slice("slack:".length);
  for (const { text } of house.slack.ephemerals) expect(text).toContain(`approved by <@${by}>`);
});

test("the window for a reason, sent off twice, is one decision", async () => {
  const { run, message } = await house.ask();
  await house.slack.click({ message, actionId: declineId, user: "U0LEAD" });
  const view = await until(() => house.slack.views[0]);
  const sent = await house.slack.submit(view, { reason: "not now" });
  await until(async () => (await answers(run)).length === 1);
  expect((await house.slack.resend(sent)).status).toBe(200);
  await house.untilTold("U0LEAD", "already decided: declined by <@U0LEAD>");
  expect(await answers(run)).toHaveLength(1);
});

test("a command that is delivered again starts nothing again", async () => {
  const sent = await house.slack.command("run heal-ward ward it is cold", { user: "U0SHIFT" });
  await house.untilTold("U0SHIFT", "Started");
  await house.slack.resend(sent);
  await house.slack.resend(sent);
  await until(
    () => house.lines.filter(({ message }) => message === "A command was delivered more than once").length === 2,
  );
  expect(await house.store.reads.runs(newest)).toHaveLength(1);
});

test("a click is acknowledged within a second while each statement takes half a second, and counts all the same", async () => {
  const slow = <A extends readonly unknown[], T>(work: (...given: A) => Promise<T>) => {
    return async (...given: A) => {
      await sleep(500);
      return work(...given);
    };
  };
  const { world } = house;
  const { url } = await house.another({
    // The insert waits for the commit as well.
    keepClick: slow(slow(world.keepClick)),
    approval: slow(world.approval),
    recordPlace: slow(world.recordPlace),
    answer: slow(slow(world.answer)),
  });
  const { approval, message } = await house.ask();
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD", to: url });
  expect(sent.status).toBe(200);
  expect(sent.ms).toBeLessThan(1_000);
  await until(async () => (await house.approval(approval)).state === "approved");
  // The window for a reason opens within Slack's three seconds.
  const other = await house.ask();
  await house.slack.click({ message: other.message, actionId: declineId, user: "U0LEAD", to: url });
  await until(() => house.slack.views[0]);
});

const newest = { state: null, outcome: null, playbook: null, target: null, limit: 10, before: null };
