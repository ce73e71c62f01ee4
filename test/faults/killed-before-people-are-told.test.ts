/** A process is killed after what it has to tell, or what was pressed, is stored and before anything came of it: the next one does it. */

import {
  askedIn,
  type CalledOptions,
  type Callers,
  calling,
  mailsTo,
  messagesAbout,
  pages,
  shownBy,
  slackUrl,
  startCallers,
} from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
let callers: Callers;
let ward: Ward;
let databaseUrl: string;

async function optionsOf(called: CalledOptions = {}, heal = "ward.heal"): Promise<ServiceOptions> {
  callers = await startCallers();
  afterwards(() => callers.stop());
  ward = await createWard();
  databaseUrl = (await sharedPostgres()).url;
  return {
    ...calling(callers, called),
    program: "counting",
    databaseUrl,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { heal, step: "approval: always", extra: "escalate: database" })],
  };
}

/** What would otherwise end by itself after half a minute. */
const endLeases = (table: "outbox" | "clicks") =>
  query(databaseUrl, `UPDATE paramedic.${table} SET lease_until = now() WHERE lease_until > now()`);

const tellings = async (service: Service, run: string) =>
  (await service.run(run)).events.flatMap((event) =>
    event.type === "told" ? [`${event.topic} ${event.way} ${event.level}`] : [],
  );

test("killed at the moment when it asks: the question is in Slack once, and can be answered", async () => {
  const options = await optionsOf();
  const service = await startService({ ...options, env: { ...options.env, STOP_AT: "after-ask" } });
  const run = await service.fire({ alertname: "sick", service: "w1" });
  expect((await service.died()).signal).toBe("SIGKILL");
  expect(callers.slack.messages()).toEqual([]);
  expect(await query(databaseUrl, "SELECT topic, state FROM paramedic.outbox")).toEqual([
    { topic: "record", state: "waiting" },
  ]);
  await service.start({ STOP_AT: "never" });
  const message = await askedIn(callers, run);
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD", to: slackUrl(service) });
  expect((await service.ended(run)).outcome).toBe("fixed");
  await until(() => shownBy(message).startsWith("Fixed:"), { what: () => shownBy(message) });
  expect(messagesAbout(callers, run)).toEqual([message]);
  await service.stop();
});

test("killed while Slack hangs: the next process asks as soon as the lease is over", async () => {
  const service = await startService(await optionsOf());
  callers.slack.fail("chat.postMessage", "hang");
  const run = await service.fire({ alertname: "sick", service: "w1" });
  await until(() => callers.slack.calls("chat.postMessage").length > 0, { what: "the call" });
  await service.kill();
  callers.slack.fail("chat.postMessage", null);
  await service.start();
  expect(await query(databaseUrl, "SELECT state FROM paramedic.outbox WHERE lease_until > now()")).toEqual([
    { state: "waiting" },
  ]);
  expect(messagesAbout(callers, run)).toEqual([]);
  await endLeases("outbox");
  const message = await askedIn(callers, run);
  expect(messagesAbout(callers, run)).toEqual([message]);
  await service.stop();
});

test("killed while PagerDuty hangs and after a mail was sent: both are in the history once, whatever was sent twice", async () => {
  const levels = [{ after: "0s", email: ["oncall@example.net"], pagerduty: { env: "PAGE_KEY" } }];
  const service = await startService(await optionsOf({ expireAfter: "2s", levels }));
  callers.pagerDuty.fail("hang");
  const run = await service.fire({ alertname: "sick", service: "w1" });
  expect((await service.ended(run)).outcome).toBe("expired");
  await until(() => pages(callers).length > 0 && callers.mail.mails.length > 0, { what: "both to be tried" });
  await service.kill();
  callers.pagerDuty.fail(null);
  await service.start();
  await endLeases("outbox");
  await until(async () => (await tellings(service, run)).length === 2, { what: "both to be told" });
  expect((await tellings(service, run)).sort()).toEqual(["handed-over email 1", "handed-over pagerduty 1"]);
  expect(callers.pagerDuty.open("canary-page-key-0123456789abcdef").size).toBe(1);
  // A mail may have gone out just before the kill; both then have one id, and mail programs show one.
  const ids = callers.mail.mails.map(({ raw }) => /^Message-ID: +(\S+)/im.exec(raw)?.[1]);
  expect(new Set(ids).size).toBe(1);
  expect(mailsTo(callers, "oncall@example.net")[0]).toContain(run);
  await service.stop();
});

test("a click that was taken by a process that is then killed is handled by another one, once", async () => {
  const options = await optionsOf();
  const worker = await startService(options);
  const receiver = await startService({ ...options, role: "receiver" });
  const run = await worker.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  // The receiver has Slack's answer to wait for when it asks who clicked.
  callers.slack.fail("users.info", "hang");
  const click = await callers.slack.click({
    message,
    actionId: "paramedic-approve",
    user: "U0LEAD",
    to: slackUrl(receiver),
  });
  expect(click.status).toBe(200);
  await until(() => callers.slack.calls("users.info").length > 0, { what: "the receiver to ask who clicked" });
  await receiver.kill();
  callers.slack.fail("users.info", null);
  const left = "SELECT handled_at FROM paramedic.clicks";
  expect(await query(databaseUrl, left)).toEqual([{ handled_at: null }]);
  expect((await worker.run(run)).approvals).toMatchObject([{ state: "pending", decisions: [] }]);

  // What is left for ten seconds is looked for.
  await query(databaseUrl, "UPDATE paramedic.clicks SET received_at = now() - interval '11 s'");
  expect((await worker.ended(run)).outcome).toBe("fixed");
  expect((await worker.run(run)).approvals).toMatchObject([
    { state: "approved", decisions: [{ by: "slack:U0LEAD", decision: "approve" }] },
  ]);
  await until(async () => (await query(databaseUrl, left))[0]?.["handled_at"] !== null, { what: "it to be noted" });
  // Slack's own repetition of what it sent changes nothing.
  await callers.slack.resend(click, slackUrl(worker));
  expect((await worker.run(run)).events.filter(({ type }) => type === "approval-answered")).toHaveLength(1);
  expect(await ward.effects()).toHaveLength(1);
  await worker.stop();
});

test("a click that was counted by a process that was killed before it noted that is not counted again", async () => {
  const options = await optionsOf();
  const service = await startService(options);
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  callers.slack.sendTo(slackUrl(service));
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
  expect((await service.ended(run)).outcome).toBe("fixed");
  await until(
    async () => (await query(databaseUrl, "SELECT FROM paramedic.clicks WHERE handled_at IS NULL")).length === 0,
  );
  await query(
    databaseUrl,
    "UPDATE paramedic.clicks SET handled_at = NULL, received_at = now() - interval '11 s', lease_until = NULL",
  );
  await until(
    async () => (await query(databaseUrl, "SELECT FROM paramedic.clicks WHERE handled_at IS NULL")).length === 0,
    {
      what: "the click to be looked at again",
      timeoutMs: 15_000,
    },
  );
  const story = await service.run(run);
  expect(story.events.filter(({ type }) => type === "approval-answered")).toHaveLength(1);
  expect(story.events.filter(({ type }) => type === "answer-refused")).toEqual([]);
  expect(callers.slack.ephemerals).toEqual([]);
  await service.stop();
});
