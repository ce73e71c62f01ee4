/** Row 38: Slack is down, limits calls or finds the question too long. It is asked again; after a time people are told how to decide without Slack. */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { builtProgram } from "../support/built.ts";
import {
  askedIn,
  type CalledOptions,
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
import { startNode } from "../support/process.ts";
import { type Service, startService, tokens } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
let callers: Callers;
let ward: Ward;
let service: Service;
let databaseUrl: string;

async function start(options: CalledOptions = {}): Promise<void> {
  callers = await startCallers();
  afterwards(() => callers.stop());
  ward = await createWard();
  databaseUrl = (await sharedPostgres()).url;
  service = await startService({
    ...calling(callers, options),
    program: "counting",
    databaseUrl,
    targets: ward.targets(2),
    playbooks: [wardPlaybook("sick", { step: "approval: always", extra: "escalate: database" })],
  });
  callers.slack.sendTo(slackUrl(service));
}

const fire = (target: string) => service.fire({ alertname: "sick", service: target });
const posts = () => callers.slack.calls("chat.postMessage").filter(({ args }) => args["channel"] === "#ops");

async function approveAndEnd(run: string): Promise<void> {
  const message = await askedIn(callers, run);
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
  expect((await service.ended(run)).outcome).toBe("fixed");
}

test.each([
  ["is down", { status: 503 }],
  ["ends the connection", "reset"],
] as const)(
  "while Slack %s the question is asked again, and once it works there is one message",
  async (_, failure) => {
    await start();
    callers.slack.fail("*", failure);
    const run = await fire("w1");
    await until(() => posts().length >= 2, { what: "a second attempt", timeoutMs: 15_000 });
    const [first, second] = posts();
    // The first delay of the outbox is two seconds.
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(1_900);
    expect((await service.api("GET", "/readyz")).body.outbox).toBe("failing");
    expect((await service.run(run)).approvals).toMatchObject([{ state: "pending", decisions: [] }]);
    callers.slack.fail("*", null);
    await query(databaseUrl, "UPDATE paramedic.outbox SET due_at = now() WHERE due_at > now()");
    await approveAndEnd(run);
    expect(messagesAbout(callers, run)).toHaveLength(1);
    expect(await ward.effects("w1")).toHaveLength(1);
    await service.stop();
  },
);

test("a 429 is waited for as long as Retry-After says", async () => {
  await start();
  callers.slack.fail("chat.postMessage", { retryAfter: 5 }, 1);
  const run = await fire("w1");
  const message = await askedIn(callers, run, 15_000);
  const [first, second] = posts();
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(4_900);
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeLessThan(8_000);
  expect(posts()).toHaveLength(2);
  expect(shownBy(message)).toMatch(/^Approve heal on w1\?/);
  await service.stop();
});

test("what Slack finds too long is asked in fewer words at once", async () => {
  await start();
  callers.slack.fail("chat.postMessage", { error: "msg_too_long" }, 1);
  const run = await fire("w1");
  await approveAndEnd(run);
  expect(messagesAbout(callers, run)).toHaveLength(1);
  const [first, second] = posts();
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeLessThan(1_000);
  await service.stop();
});

test("where Slack never takes it, people are told by other ways, and what they are told to paste decides it", async () => {
  await start({ escalateAfter: "2s" });
  callers.slack.fail("*", { status: 503 });
  const [approved, declined] = [await fire("w1"), await fire("w2")];
  const mailAbout = (run: string) =>
    until(() => mailsTo(callers, "oncall@example.net").find((text) => text.includes(run)), {
      what: () => `a mail about ${run} (${service.child.output().slice(-3_000)})`,
      timeoutMs: 15_000,
    });
  const mail = await mailAbout(approved);
  expect(mail).toContain("heal w1");
  expect(mail).toContain(`  paramedic approve ${approved}`);
  expect(mail).toContain(`  paramedic decline ${approved}`);
  for (const run of [approved, declined]) {
    expect(await service.run(run)).toMatchObject({
      state: "waiting",
      approvals: [{ state: "pending", decisions: [] }],
    });
  }
  expect(await ward.effects()).toEqual([]);

  const call = mail.split("\n").find((line) => line.includes("curl") && line.includes('"approve"'));
  const env = { PATH: process.env["PATH"] ?? "", PARAMEDIC_TOKEN: tokens.approver };
  const answer = await promisify(execFile)("bash", ["-c", `${call?.trim()} --silent --max-time 10`], { env });
  expect(JSON.parse(answer.stdout)).toMatchObject({ state: "approved", decisions: [{ by: "api:approver" }] });
  expect((await service.ended(approved)).outcome).toBe("fixed");
  expect(await ward.effects("w1")).toHaveLength(1);

  const line = (await mailAbout(declined)).split("\n").find((one) => one.includes("paramedic decline"));
  expect(line?.trim()).toBe(`paramedic decline ${declined}`);
  const cli = await startNode(
    join(await builtProgram(), "cli.js"),
    ["decline", declined, "--yes", "--reason", "not now"],
    { env: { ...env, PARAMEDIC_URL: service.url } },
  );
  await cli.exited;
  expect([cli.output(), (await service.ended(declined)).outcome]).toEqual([expect.anything(), "declined"]);
  expect(await ward.effects("w2")).toEqual([]);

  // It stands in Slack as what it became, once Slack is back, and asks nobody any more.
  callers.slack.fail("*", null);
  await query(databaseUrl, "UPDATE paramedic.outbox SET due_at = now() WHERE due_at > now()");
  const [record] = await until(
    () => {
      const found = messagesAbout(callers, approved);
      return found.length > 0 && found;
    },
    { what: "the record" },
  );
  expect(record && shownBy(record)).toMatch(/^Fixed: sick on w1\n/);
  await service.stop();
});

test("an approval that nobody could be asked for is never given by itself: it expires", async () => {
  await start({ escalateAfter: "1s", expireAfter: "4s" });
  callers.slack.fail("*", "hang");
  const run = await fire("w1");
  const ended = await service.ended(run);
  expect(ended.outcome).toBe("expired");
  expect(await ward.effects()).toEqual([]);
  await until(() => mailsTo(callers, "oncall@example.net").some((text) => text.includes("Outcome: expired")), {
    what: "the mail about how it ended",
  });
  await service.stop();
});
