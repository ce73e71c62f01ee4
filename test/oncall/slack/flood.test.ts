/** Many questions at one time in one channel, of a Slack that takes about one message a second: all are asked, without a hail of refused calls. */

import { type SlackHouse, startSlackHouse } from "../../support/slack-house.ts";
import { until } from "../../support/until.ts";

let house: SlackHouse;

beforeAll(async () => {
  house = await startSlackHouse();
});

afterAll(() => house.stop());

test("all are asked, in about the time that it takes, and none is given up", async () => {
  const questions = 15;
  house.slack.limit("chat.postMessage", 3);
  await Promise.all(Array.from({ length: questions }, () => house.ask()));
  const calls = house.slack.calls("chat.postMessage");
  expect(calls.filter(({ answer }) => answer !== null)).toHaveLength(questions);
  // Each refusal that is heard keeps the others of the channel from calling; what was under way then is refused too.
  expect(calls.filter(({ answer }) => answer === null).length).toBeLessThan(6 * questions);
  const [dead] = await house.store.sql("SELECT count(*)::int AS n FROM paramedic.outbox WHERE state = 'dead'");
  expect(dead).toEqual({ n: 0 });
  await until(
    async () => {
      const [unasked] = await house.store.sql(
        "SELECT count(*)::int AS n FROM paramedic.approvals WHERE asked_at IS NULL",
      );
      return unasked?.["n"] === 0;
    },
    { what: "all approvals to be asked for" },
  );
});
