/**
 * Row 41: PagerDuty hangs, or answers 500, 503 with a page, or 429. Each attempt is bounded, the message waits in the
 * outbox over restarts and kills, and the next level is told by mail meanwhile.
 */

import { deliveryDelaysMs } from "../../src/domain/escalation.ts";
import { builtProgram } from "../support/built.ts";
import { mailAddress, type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import type { PagerDutyFailure } from "../support/pagerduty-double.ts";
import { startChild } from "../support/process.ts";
import { until } from "../support/until.ts";

let onCall: OnCall;

beforeEach(async () => {
  onCall = await startOnCall();
});

afterEach(async () => {
  expect(onCall.complaints.join("\n")).not.toContain("canary");
  await onCall.close();
});

const dedupKeys = () => [...onCall.pagerDuty.open(routingKey).keys()];
const tellings = async (run: string) =>
  (await onCall.spine.events(run)).flatMap((event) =>
    event.type === "told" || event.type === "not-told" ? [`${event.type} ${event.way}`] : [],
  );

test.each<PagerDutyFailure>(["hang", 500, "html-503", 429])(
  "while PagerDuty does %s, mail is told in its time, and PagerDuty once it works again, over a restart",
  async (failure) => {
    const { pagerDuty, smtp } = onCall;
    pagerDuty.fail(failure);
    const run = await onCall.handOver();
    const first = onCall.open();
    await until(() => smtp.mails.length === 1, { what: "the mail of the second level" });
    expect(smtp.mails[0]?.to).toEqual([mailAddress]);
    await until(async () => (await onCall.outbox.troubles()).failing === 1, { what: "the attempt to have failed" });
    await first.stop();
    // One request for each attempt: the client's own retries are stopped.
    const { rows } = await onCall.spine.database.pool.query(
      "SELECT attempts, last_error IS NOT NULL AS told_why FROM paramedic.outbox WHERE way = 'pagerduty'",
    );
    expect(rows).toEqual([{ attempts: pagerDuty.requests.length, told_why: true }]);
    expect(dedupKeys()).toEqual([]);

    pagerDuty.fail(null);
    await onCall.hurry();
    onCall.open();
    await until(async () => (await tellings(run)).includes("told pagerduty"), { what: "PagerDuty to be told" });
    expect(dedupKeys()).toHaveLength(1);
    expect((await tellings(run)).sort()).toEqual(["told email", "told pagerduty"]);
    expect(await onCall.outbox.troubles()).toEqual({ dead: 0, failing: 0 });
    expect(smtp.mails).toHaveLength(1);
  },
);

test("a PagerDuty that never comes back is asked a bounded number of times and is then a dead letter", async () => {
  const { pagerDuty } = onCall;
  pagerDuty.fail(500);
  const run = await onCall.handOver();
  onCall.open();
  await until(
    async () => {
      await onCall.hurry();
      return (await onCall.outbox.troubles()).dead === 1;
    },
    { what: "the message to be given up", timeoutMs: 30_000 },
  );
  expect(pagerDuty.requests).toHaveLength(deliveryDelaysMs.length + 1);
  await until(async () => (await tellings(run)).length === 2, { what: "the mail of the second level" });
  expect((await tellings(run)).sort()).toEqual(["not-told pagerduty", "told email"]);
});

test("a key that PagerDuty refuses is not tried again", async () => {
  onCall.pagerDuty.fail(400);
  const run = await onCall.handOver();
  onCall.open();
  await until(async () => (await tellings(run)).includes("not-told pagerduty"), { what: "the dead letter" });
  expect(onCall.pagerDuty.requests).toHaveLength(1);
});

test("a process killed while PagerDuty hangs leaves its message to the next one", async () => {
  const { pagerDuty, spine } = onCall;
  const dist = await builtProgram();
  pagerDuty.fail("hang");
  const run = await onCall.handOver();
  const script = `
    import { newId } from ${JSON.stringify(`${dist}/ids.js`)};
    import { openDesk } from ${JSON.stringify(`${dist}/oncall/desk.js`)};
    import { followNotice } from ${JSON.stringify(`${dist}/oncall/follow-notice.js`)};
    import { subjectOf } from ${JSON.stringify(`${dist}/oncall/notice.js`)};
    import { createPagerDuty, pagerDutyTells } from ${JSON.stringify(`${dist}/oncall/pagerduty.js`)};
    import { connect } from ${JSON.stringify(`${dist}/store/connect.js`)};
    import { createEscalations } from ${JSON.stringify(`${dist}/store/escalations.js`)};
    import { createOutbox } from ${JSON.stringify(`${dist}/store/outbox.js`)};
    import { createReads } from ${JSON.stringify(`${dist}/store/reads.js`)};
    const database = connect(process.env.STORE_URL);
    const reads = createReads(database);
    const { deliver } = createPagerDuty({ server: ${JSON.stringify(pagerDuty.server)}, timeoutMs: 60_000 });
    const around = { summary: null, publicUrl: null, listenUrl: "http://127.0.0.1:9" };
    const log = { info() {}, warn: console.error, error: console.error };
    openDesk({
      store: { ...createEscalations(database, newId), ...createOutbox(database) },
      levelsOf: () => [{ afterMs: 0, ways: ["pagerduty"] }],
      reach: () => followNotice({
        deliver, to: ${JSON.stringify(routingKey)}, told: "PagerDuty", levels: () => 1, tells: pagerDutyTells,
      }),
      subject: async ({ runId: run }) => subjectOf(run, await reads.events(run, 0), around),
      log,
      metrics: { noticeDelivered() {}, noticeFailed() {} },
      everyMs: 50,
    });
  `;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: pagerDuty.caFile, STORE_URL: spine.url };
  const child = await startChild(process.execPath, ["--input-type=module", "-e", script], { env });
  await until(() => pagerDuty.requests.length === 1, { what: "the process to ask PagerDuty" });
  await child.kill();
  expect(await onCall.messages()).toEqual(["pagerduty waiting"]);

  pagerDuty.fail(null);
  // What would otherwise end by itself after half a minute.
  await spine.database.pool.query("UPDATE paramedic.outbox SET lease_until = now()");
  onCall.open();
  await until(async () => (await tellings(run)).includes("told pagerduty"), { what: "the next one to tell PagerDuty" });
  expect(dedupKeys()).toHaveLength(1);
  expect(await spine.reads.firstBrokenEvent(run)).toBeNull();
});
