/** Row 39: Postgres takes half a second for each statement. A click is acknowledged within a second, and pressed twice has one effect. */

import { askedIn, type Callers, calling, shownBy, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { type ServiceOptions, startService } from "../support/service.ts";
import type { SlackMessage } from "../support/slack-double-workspace.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(240_000);

const afterwards = cleaningUp();
/** Three clicks for each: a double click, and the first of them delivered again. */
const count = 20;
/** So many approvals are decided at one time. */
const lanes = 2;

/** What 99 of 100 do not exceed. */
function p99(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.ceil(values.length * 0.99) - 1] ?? Number.NaN;
}

test("sixty clicks through a receiver whose store is slow: acknowledged within a second at p99, and each approval decided once", async () => {
  const callers: Callers = await startCallers();
  afterwards(() => callers.stop());
  const ward = await createWard();
  const databases = await sharedPostgres();
  const proxy = await startTcpProxy(databases.port);
  afterwards(() => proxy.stop());
  const options: ServiceOptions = {
    ...calling(callers, { expireAfter: "10m", escalateAfter: "10m" }),
    program: "counting",
    databaseUrl: databases.url,
    targets: ward.targets(count),
    playbooks: [wardPlaybook("sick", { step: "approval: always" })],
  };
  const worker = await startService({ ...options, role: "worker" });
  const slow = new URL(databases.url);
  slow.port = String(proxy.port);
  const receiver = await startService({ ...options, role: "receiver", databaseUrl: slow.href });
  const runs = await Promise.all(
    Array.from({ length: count }, (_, index) => receiver.fire({ alertname: "sick", service: `w${index + 1}` })),
  );
  const messages = await Promise.all(runs.map((run) => askedIn(callers, run, 30_000)));

  // On the way there and on the way back.
  proxy.delay(250);
  callers.slack.sendTo(slackUrl(receiver));
  const refusals = async (run: string) =>
    (await worker.run(run)).events.filter(({ type }) => type === "answer-refused");
  const waits: number[] = [];

  async function pressTwice(run: string, message: SlackMessage): Promise<void> {
    const approve = () => callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
    const [one, two] = await Promise.all([approve(), approve()]);
    const clicks = [one, two, await callers.slack.resend(one)];
    expect(clicks.map(({ status }) => status)).toEqual([200, 200, 200]);
    waits.push(...clicks.map(({ ms }) => ms));
    const ended = await worker.ended(run, 30_000);
    expect(ended.outcome).toBe("fixed");
    expect(ended.events.filter(({ type }) => type === "approval-answered")).toHaveLength(1);
    // The second press came after the first; what Slack sent again is the first.
    await until(async () => (await refusals(run)).length === 1, {
      what: () => `the second press to be refused (${receiver.child.output().slice(-3_000)})`,
      timeoutMs: 20_000,
    });
  }

  const left = runs.map((run, index) => [run, messages[index] as SlackMessage] as const);
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (let next = left.shift(); next; next = left.shift()) await pressTwice(...next);
    }),
  );
  expect(waits).toHaveLength(3 * count);
  expect(p99(waits)).toBeLessThan(1_000);
  // The store was as slow as that, and was waited for.
  expect(p99(waits)).toBeGreaterThan(400);
  expect((await ward.effects()).length).toBe(count);
  for (const message of messages) {
    await until(() => shownBy(message).startsWith("Fixed:"), { what: () => shownBy(message) });
  }
  await proxy.restore();
  await receiver.stop();
  for (const run of runs) expect(await refusals(run)).toHaveLength(1);
  await worker.stop();
});

test("a store that hangs does not keep Slack waiting, and the click is said not to be known", async () => {
  const callers: Callers = await startCallers();
  afterwards(() => callers.stop());
  const ward = await createWard();
  const databases = await sharedPostgres();
  const proxy = await startTcpProxy(databases.port);
  afterwards(() => proxy.stop());
  const options: ServiceOptions = {
    ...calling(callers),
    program: "counting",
    databaseUrl: databases.url,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always" })],
  };
  const worker = await startService({ ...options, role: "worker" });
  const slow = new URL(databases.url);
  slow.port = String(proxy.port);
  const receiver = await startService({ ...options, role: "receiver", databaseUrl: slow.href });
  const run = await receiver.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  await proxy.hang();
  const click = await callers.slack.click({
    message,
    actionId: "paramedic-approve",
    user: "U0LEAD",
    to: slackUrl(receiver),
  });
  expect([click.status, click.ms < 1_000]).toEqual([200, true]);
  const told = await until(() => callers.slack.ephemerals[0], { what: "the person to be told", timeoutMs: 15_000 });
  expect(told.text).toContain("did not confirm your click");
  await proxy.restore();
  // Nobody knows whether it was stored; if so it counts, and if not it is pressed again.
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD", to: slackUrl(worker) });
  const ended = await worker.ended(run);
  expect(ended.events.filter(({ type }) => type === "approval-answered")).toHaveLength(1);
  expect(await ward.effects()).toHaveLength(1);
  await Promise.all([worker.stop(), receiver.stop()]);
});
