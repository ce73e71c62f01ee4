/** Show all: what the message had no room for, in a window, for everybody who has a role. */

import { approveId, showAllId } from "../../../src/oncall/slack/action-ids.ts";
import type { SlackView } from "../../support/slack-double-workspace.ts";
import { type Asked, type SlackHouse, startSlackHouse } from "../../support/slack-house.ts";
import { until } from "../../support/until.ts";
import { buttonsOf, markupOf, textsOf } from "./told.ts";

jest.setTimeout(60_000);

let house: SlackHouse;

beforeAll(async () => {
  house = await startSlackHouse();
});
afterEach(() => {
  expect(house.lines.filter(({ message }) => message.includes("bug"))).toEqual([]);
});
afterAll(() => house.stop());

const many = Array.from({ length: 214 }, (_, bed) => `bed ${bed}: <!channel> *gets* <https://evil|a blanket> & :zzz:`);

const words = ({ message }: Asked) => buttonsOf(message).map(([text]) => text);

/** The windows that were opened for this press. */
async function pressed(asked: Asked, user: string): Promise<SlackView> {
  const before = house.slack.views.length;
  const sent = await house.slack.click({ message: asked.message, actionId: showAllId, user });
  expect([sent.status, sent.body]).toEqual([200, ""]);
  return until(() => house.slack.views[before], { what: () => JSON.stringify(house.lines.slice(-3)) });
}

const linesOf = ({ view }: SlackView) => textsOf(view["blocks"]).join("\n").split("\n");

test("a viewer sees every effect, literally and in order, and nothing is decided; after the decision too", async () => {
  const asked = await house.ask({ effects: many });
  expect(words(asked)).toEqual(["Approve", "Decline", "Show all"]);
  const window = await pressed(asked, "U0SCREEN");
  expect(window.view["title"]).toMatchObject({ text: "What it will do" });
  expect(linesOf(window)).toEqual([
    "The step heal of heal-ward on ward: 214 effects",
    ...many.map((effect) => `• ${effect}`),
  ]);
  expect(markupOf(window.view["blocks"])).toEqual([]);
  expect(await house.approval(asked.approval)).toMatchObject({ state: "pending", decisions: [] });
  expect(await house.store.sql("SELECT FROM paramedic.clicks")).toEqual([]);

  await house.slack.click({ message: asked.message, actionId: approveId, user: "U0LEAD" });
  await until(() => words(asked).length === 1, { what: "the buttons to go" });
  expect(words(asked)).toEqual(["Show all"]);
  const later = await pressed(asked, "U0LEAD");
  expect(later.view["title"]).toMatchObject({ text: "The approved plan" });
  expect(linesOf(later)).toHaveLength(215);
  expect(house.told("U0LEAD")).toEqual([]);
});

test("a message that shows everything has no such button; one that cuts a line has, and the window has it whole", async () => {
  const short = await house.ask({ effects: many.slice(0, 20) });
  expect(words(short)).toEqual(["Approve", "Decline"]);
  const long = `bed 1 gets ${"a blanket and ".repeat(150)}a pillow`;
  const asked = await house.ask({ effects: [long] });
  expect(words(asked)).toEqual(["Approve", "Decline", "Show all"]);
  expect(JSON.stringify(asked.message.blocks)).not.toContain("a pillow");
  expect(linesOf(await pressed(asked, "U0SCREEN"))).toContain(`• ${long}`);
});

test("what not even a window takes is counted, with the command that shows it", async () => {
  const effects = Array.from({ length: 3_000 }, (_, bed) => `bed ${bed} ${"é".repeat(90)}`);
  const asked = await house.ask({ effects });
  const lines = linesOf(await pressed(asked, "U0SCREEN"));
  const shown = lines.filter((line) => line.startsWith("• ")).length;
  expect(shown).toBeGreaterThan(500);
  expect(lines.slice(-2)).toEqual([
    `*… and ${3_000 - shown} more effects.* All of them: \`paramedic show ${asked.run}\``,
    `What is cut here is whole in \`paramedic show ${asked.run}\`.`,
  ]);
  // Should Slack's limit be lower than it says, less is shown.
  house.slack.fail("views.open", { error: "view_too_large" }, 1);
  const fewer = linesOf(await pressed(asked, "U0SCREEN")).filter((line) => line.startsWith("• ")).length;
  expect(fewer).toBeGreaterThan(50);
  expect(fewer).toBeLessThan(shown);
});

test.each([
  ["somebody without a role", { user: "U0NOBODY" }, "has the role none, and this needs viewer", "You have no role"],
  [
    "somebody of another company in a shared channel",
    { user: "U0SCREEN", userTeam: "T0ELSEWHERE" },
    "is from another workspace (T0ELSEWHERE)",
    "Only people of the workspace",
  ],
])("%s sees nothing, is told so alone, and it stands in the history", async (_who, click, reason, said) => {
  const asked = await house.ask({ effects: many });
  const before = house.slack.views.length;
  await house.slack.click({ message: asked.message, actionId: showAllId, ...click });
  await house.untilTold(click.user, said);
  expect(house.slack.views).toHaveLength(before);
  expect((await house.events(asked.run)).filter(({ type }) => type === "answer-refused")).toMatchObject([
    { by: `slack:${click.user}`, approval: asked.approval, reason },
  ]);
});

test("a button that names another run's plan shows nothing", async () => {
  const [asked, other] = [await house.ask({ effects: many }), await house.ask()];
  const value = JSON.stringify({ approval: other.approval, digest: other.digest, run: asked.run });
  await house.slack.click({ message: asked.message, actionId: showAllId, user: "U0SCREEN", value });
  await house.untilTold("U0SCREEN", "no such plan");
});

test("a window that Slack does not open any more, and a store that is away, are said to whoever pressed", async () => {
  const asked = await house.ask({ effects: many });
  house.slack.setTriggerLife(0);
  await house.slack.click({ message: asked.message, actionId: showAllId, user: "U0SHIFT" });
  expect(await house.untilTold("U0SHIFT", "Press Show all again")).toContain(`paramedic show ${asked.run}`);
  house.slack.setTriggerLife(3_000);
  const away = async () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
  const { url } = await house.another({ approval: away });
  await house.slack.click({ message: asked.message, actionId: showAllId, user: "U0SHIFT", to: url });
  await house.untilTold("U0SHIFT", "database cannot be used");
});
