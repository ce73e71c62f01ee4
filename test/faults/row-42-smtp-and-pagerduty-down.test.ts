/** Row 42: neither the mail server nor PagerDuty takes anything. Readiness says so, nothing is lost, and all is told when they are back. */

import { createReadiness } from "../../src/telemetry/health.ts";
import { mailAddress, type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import { until } from "../support/until.ts";

let onCall: OnCall;

beforeEach(async () => {
  onCall = await startOnCall([{ afterMs: 0, email: [mailAddress], pagerduty: { reveal: () => routingKey } }]);
});

afterEach(() => onCall.close());

const readiness = () =>
  createReadiness({ store: async () => {}, queue: async () => {}, outbox: onCall.outbox.troubles })();

test("while nobody can be told it shows in readiness, and both are told once they are back, one time each", async () => {
  const { pagerDuty, smtp } = onCall;
  pagerDuty.fail("reset");
  smtp.fail("reset");
  const run = await onCall.handOver();
  expect((await readiness()).body.outbox).toBe("ok");
  onCall.open();
  await until(async () => (await onCall.outbox.troubles()).failing === 2, { what: "both ways to have failed" });
  expect(await readiness()).toEqual({ ready: true, body: { store: "ok", queue: "ok", outbox: "failing" } });
  expect(await onCall.messages()).toEqual(["email waiting", "pagerduty waiting"]);

  pagerDuty.fail(null);
  smtp.fail(null);
  await onCall.hurry();
  const told = async () => (await onCall.spine.events(run)).filter(({ type }) => type === "told").length;
  await until(async () => (await told()) === 2, { what: "both to be told" });
  expect((await readiness()).body.outbox).toBe("ok");
  expect(smtp.mails).toHaveLength(1);
  expect(pagerDuty.open(routingKey).size).toBe(1);
});

test("where neither comes back, the dead letters show in readiness and in the run's history", async () => {
  onCall.pagerDuty.fail(500);
  onCall.smtp.fail("defer");
  const run = await onCall.handOver();
  onCall.open();
  await until(
    async () => {
      await onCall.hurry();
      return (await onCall.outbox.troubles()).dead === 2;
    },
    { what: "both messages to be given up", timeoutMs: 30_000 },
  );
  expect((await readiness()).body.outbox).toBe("dead-letters");
  const events = await onCall.spine.events(run);
  expect(events.filter(({ type }) => type === "not-told")).toHaveLength(2);
  expect(onCall.smtp.mails).toEqual([]);
});
