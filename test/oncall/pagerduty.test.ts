/** Row 41 as far as the way itself goes: every failure of PagerDuty is bounded and told apart. */

import { followNotice } from "../../src/oncall/follow-notice.ts";
import { createPagerDuty, pagerDutyTells } from "../../src/oncall/pagerduty.ts";
import type { Delivered } from "../../src/oncall/way.ts";
import { happened } from "../support/builders.ts";
import { builtProgram } from "../support/built.ts";
import { type PagerDutyDouble, type PagerDutyFailure, startPagerDutyDouble } from "../support/pagerduty-double.ts";
import { startChild } from "../support/process.ts";
import { sleep, until } from "../support/until.ts";
import { afterwards, messageOf, never, noticeOf, retaken, subjectAfter } from "./notices.ts";

const key = "canary0123456789abcdef0123456789";

let double: PagerDutyDouble;

beforeEach(async () => {
  double = await startPagerDutyDouble();
});

afterEach(() => double.stop());

function pagerDuty(timeoutMs = 5_000) {
  return createPagerDuty({ server: double.server, ca: double.ca, timeoutMs });
}

/** The reason of a failure, which never holds the routing key. */
function failure(delivered: Delivered) {
  if (delivered.ok) throw new Error("It was delivered.");
  expect(delivered.reason).not.toContain("canary");
  return delivered;
}

test("what is handed over opens one alert however often it is told, and recovery resolves it", async () => {
  const { deliver } = pagerDuty();
  const handedOver = [noticeOf(), noticeOf({ level: 2 }), noticeOf({ episodeKey: "another" })];
  for (const notice of handedOver) expect(await deliver(notice, key, never)).toEqual({ ok: true });
  expect([...double.open(key)]).toEqual([
    [noticeOf().episodeKey, "warning"],
    ["another", "warning"],
  ]);
  expect(await deliver(noticeOf({ kind: "recovered" }), key, never)).toEqual({ ok: true });
  expect([...double.open(key).keys()]).toEqual(["another"]);
});

test("an alert follows its run: triggered, acknowledged when somebody has it, resolved when it is over", async () => {
  const { deliver } = pagerDuty();
  const follow = followNotice({ deliver, to: key, told: "PagerDuty", levels: () => 1, tells: pagerDutyTells });
  const handedOver = [1, happened.escalated(), happened.ended("ineffective")];
  const acknowledged = [...handedOver, 2, { type: "acknowledged", by: "api:night" } as const];
  let message = messageOf({ way: "pagerduty" });
  for (const entries of [handedOver, acknowledged, [...acknowledged, 3, happened.recovered()]]) {
    const followed = await follow(message, subjectAfter(...entries), never);
    expect(followed).toMatchObject({ ok: true });
    message = afterwards(message, followed);
  }
  expect(double.requests.map(({ body }) => [body?.["event_action"], body?.["dedup_key"]])).toEqual(
    ["trigger", "acknowledge", "resolve"].map((action) => [action, subjectAfter().episodeKey]),
  );
  expect(double.open(key).size).toBe(0);
});

test("a page that is taken again after whoever sent it was killed is one alert", async () => {
  const { deliver } = pagerDuty();
  const follow = followNotice({ deliver, to: key, told: "PagerDuty", levels: () => 1, tells: pagerDutyTells });
  const handedOver = subjectAfter(1, happened.escalated(), happened.ended("ineffective"));
  const first = messageOf({ way: "pagerduty" });
  for (const message of [first, retaken(first)]) {
    expect(await follow(message, handedOver, never)).toMatchObject({ ok: true });
  }
  expect(double.requests).toHaveLength(2);
  expect(double.open(key).size).toBe(1);
});

test("severities of the configuration add to the usual ones", async () => {
  const severities = { page: "critical" } as const;
  const { deliver } = createPagerDuty({ server: `https://${double.server}`, ca: double.ca, severities });
  for (const severity of ["page", "info"]) {
    await deliver(noticeOf({ labels: { severity }, episodeKey: severity }), key, never);
  }
  expect(Object.fromEntries(double.open(key))).toEqual({ page: "critical", info: "info" });
});

test("an applied change is recorded and opens nothing", async () => {
  const change = {
    run: "r",
    playbook: "p",
    target: "t",
    step: "s",
    effects: ["e"],
    at: "2026-01-05T10:00:03Z",
    url: null,
  };
  expect(await pagerDuty().change(change, key, never)).toEqual({ ok: true });
  expect(double.requests).toMatchObject([{ path: "/v2/change/enqueue", body: { routing_key: key } }]);
  expect(double.open(key).size).toBe(0);
});

test.each<[PagerDutyFailure, boolean, string]>([
  [500, true, "PagerDuty answered 500 in place of 202."],
  ["html-503", true, "PagerDuty cannot be reached: what answered there did not answer with JSON."],
  ["html-200", true, "PagerDuty cannot be reached: what answered there did not answer with JSON."],
  [429, true, "PagerDuty takes no more events for the moment (429)."],
  [408, true, "PagerDuty answered 408 in place of 202."],
  [200, true, "PagerDuty answered 200 in place of 202."],
  ["reset", true, "PagerDuty cannot be reached: ECONNRESET."],
  ["redirect", true, "PagerDuty cannot be reached: it redirects, which is not followed; check pagerduty.server."],
  ["huge", true, "PagerDuty cannot be reached: its answer is too large."],
  [400, false, "PagerDuty refused the event (400): the double answers 400."],
  [403, false, "PagerDuty refused the event (403): the double answers 403."],
])(
  "a PagerDuty that answers with %s is asked once and at once told of, retryable: %s",
  async (mode, retryable, reason) => {
    double.fail(mode);
    const begin = performance.now();
    expect(failure(await pagerDuty().deliver(noticeOf(), key, never))).toEqual({
      ok: false,
      reason,
      retryable,
      ...(mode === 429 ? { throttled: true } : {}),
    });
    expect(performance.now() - begin).toBeLessThan(4_000);
    // Long enough for a retry of pdjs, which comes a millisecond later.
    await sleep(50);
    expect(double.requests).toHaveLength(1);
  },
);

test.each(["hang", "hang-in-body"] as const)("a PagerDuty that does %s is given up at the deadline", async (mode) => {
  double.fail(mode);
  const begin = performance.now();
  expect(failure(await pagerDuty(300).deliver(noticeOf(), key, never))).toEqual({
    ok: false,
    reason: "PagerDuty did not answer within 300 ms.",
    retryable: true,
  });
  expect(performance.now() - begin).toBeLessThan(3_000);
});

test("an aborted signal ends a delivery at once, and begins none", async () => {
  double.fail("hang");
  const stop = new AbortController();
  const delivery = pagerDuty(60_000).deliver(noticeOf(), key, stop.signal);
  await until(() => double.requests.length === 1);
  stop.abort();
  expect(failure(await delivery)).toMatchObject({ retryable: true, reason: expect.stringContaining("Stopped") });
  expect(failure(await pagerDuty().deliver(noticeOf(), key, stop.signal))).toMatchObject({ retryable: true });
  expect(double.requests).toHaveLength(1);
});

test("a PagerDuty that is not there, or whose certificate nobody vouches for, may come back", async () => {
  const stranger = createPagerDuty({ server: double.server });
  expect(failure(await stranger.deliver(noticeOf(), key, never))).toEqual({
    ok: false,
    reason: "PagerDuty cannot be reached: DEPTH_ZERO_SELF_SIGNED_CERT.",
    retryable: true,
  });
  expect(double.requests).toEqual([]);
  await double.stop();
  expect(failure(await pagerDuty().deliver(noticeOf(), key, never))).toMatchObject({
    retryable: true,
    reason: expect.stringContaining("ECONNREFUSED"),
  });
  double = await startPagerDutyDouble();
});

test("the complaint of a 400 is told without the routing key, even where it repeats it", async () => {
  double.fail("echo-400");
  const { reason, retryable } = failure(await pagerDuty().deliver(noticeOf(), key, never));
  expect(reason).toContain("[secret]");
  expect(retryable).toBe(false);
  double.fail(null);
  const { reason: why } = failure(await pagerDuty().deliver(noticeOf({ episodeKey: "" }), key, never));
  expect(why).toContain("Event object is invalid; Length of 'dedup_key' is incorrect");
});

test.each(["http://localhost", "a/b", "a b", "", "user@host"])(
  "the server '%s' is refused when it is configured",
  (server) => {
    expect(() => createPagerDuty({ server })).toThrow("pagerduty.server");
  },
);

test.each<PagerDutyFailure>([429, "html-503", "hang"])(
  "a process that was answered with %s can end",
  async (mode) => {
    const dist = await builtProgram();
    double.fail(mode);
    const script = `
    import { createPagerDuty } from ${JSON.stringify(`${dist}/oncall/pagerduty.js`)};
    const { deliver } = createPagerDuty({ server: ${JSON.stringify(double.server)}, timeoutMs: 1000 });
    const told = await deliver(${JSON.stringify(noticeOf())}, ${JSON.stringify(key)}, new AbortController().signal);
    console.log(JSON.stringify(told));
  `;
    // The service as it is run: it trusts the double by its environment, not by an option.
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: double.caFile };
    const child = await startChild(process.execPath, ["--input-type=module", "-e", script], { env });
    await child.waitForOutput(/"ok":false.*"retryable":true/);
    const begin = performance.now();
    expect(await child.exited).toMatchObject({ code: 0 });
    expect(performance.now() - begin).toBeLessThan(3_000);
    expect(double.requests).toHaveLength(1);
  },
  60_000,
);
