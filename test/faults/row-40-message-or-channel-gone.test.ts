/** Row 40: the message is deleted, or its channel archived, while an approval waits. It can be decided over REST, and it is noted why Slack shows nothing. */

import {
  askedIn,
  type Callers,
  calling,
  mailsTo,
  messagesAbout,
  shownBy,
  slackUrl,
  startCallers,
} from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { type HttpAnswer, type Service, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
let callers: Callers;
let ward: Ward;
let service: Service;
let databaseUrl: string;

beforeEach(async () => {
  callers = await startCallers();
  afterwards(() => callers.stop());
  ward = await createWard();
  databaseUrl = (await sharedPostgres()).url;
  service = await startService({
    ...calling(callers, { escalateAfter: "2s" }),
    program: "counting",
    databaseUrl,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always", extra: "escalate: database" })],
  });
  callers.slack.sendTo(slackUrl(service));
});

async function approveOverRest(run: string): Promise<HttpAnswer> {
  const [approval] = (await service.run(run)).approvals;
  return await service.api("POST", `/api/v1/approvals/${approval?.id}`, {
    decision: "approve",
    digest: approval?.digest,
  });
}

/** Waits until the log says why what was told cannot be brought up to date. */
async function noted(reason: RegExp): Promise<void> {
  const isNoted = (line: Readonly<Record<string, unknown>>) =>
    line["topic"] === "record" && reason.test(String(line["reason"]));
  await until(() => service.child.logLines().some(isNoted), { what: () => service.child.output().slice(-3_000) });
}

test("a deleted message: the approval waits on, REST decides it, and it is noted that Slack cannot show it", async () => {
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  callers.slack.deleteMessage(message);
  expect((await service.run(run)).approvals).toMatchObject([{ state: "pending" }]);
  expect((await approveOverRest(run)).status).toBe(200);
  expect((await service.ended(run)).outcome).toBe("fixed");
  expect(await ward.effects()).toHaveLength(1);
  await noted(/was deleted in Slack/);
  // Nothing about the run is told in the channel, outside of any thread.
  expect(messagesAbout(callers, run)).toEqual([]);
  expect(callers.slack.messages()).toEqual([]);
  // It is no dead letter: people were asked, and the run is over.
  expect((await service.api("GET", "/readyz")).body.outbox).toBe("ok");
  await service.stop();
});

test("a channel archived after the question: REST decides, and it is noted that the message cannot be changed", async () => {
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  callers.slack.channel("#ops").archived = true;
  expect((await approveOverRest(run)).status).toBe(200);
  expect((await service.ended(run)).outcome).toBe("fixed");
  await noted(/is_archived/);
  callers.slack.channel("#ops").archived = false;
  expect(await ward.effects()).toHaveLength(1);
  expect(messagesAbout(callers, run)).toEqual([message]);
  await service.stop();
});

test("a channel archived before the question: people are told another way, REST decides, and who opens it finds the question", async () => {
  callers.slack.channel("#ops").archived = true;
  const run = await service.fire({ alertname: "sick", service: "w1" });
  await noted(/is_archived.*unarchive it/);
  await until(() => mailsTo(callers, "oncall@example.net").some((text) => text.includes(`paramedic approve ${run}`)), {
    what: "the mail",
  });
  expect((await service.api("GET", "/readyz")).body.outbox).toBe("failing");
  callers.slack.channel("#ops").archived = false;
  await query(databaseUrl, "UPDATE paramedic.outbox SET due_at = now() WHERE due_at > now()");
  const message = await askedIn(callers, run);
  expect((await approveOverRest(run)).status).toBe(200);
  expect((await service.ended(run)).outcome).toBe("fixed");
  await until(() => shownBy(message).startsWith("Fixed:"), { what: () => shownBy(message) });
  expect(await ward.effects()).toHaveLength(1);
  await service.stop();
});
