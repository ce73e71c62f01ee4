/** What is about to be changed is announced in Slack and on a status page before it is, and how it ended is said there too. */

import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { type Service, startService } from "../support/service.ts";
import { type SlackDouble, startSlackDouble } from "../support/slack-double.ts";
import { startStatusPageDouble } from "../support/status-page-double.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

type StatusPage = Awaited<ReturnType<typeof startStatusPageDouble>>;

let ward: Ward;
let slack: SlackDouble;
let page: StatusPage;
const afterwards = cleaningUp();

beforeEach(async () => {
  ward = await createWard(await (await sharedPostgres()).newDatabase());
  slack = await startSlackDouble();
  afterwards(() => slack.stop());
  page = await startStatusPageDouble();
  afterwards(() => page.double.stop());
});

async function start(statusPage: object): Promise<Service> {
  const service = await startService({
    program: "counting",
    databaseUrl: await (await sharedPostgres()).newDatabase(),
    playbooks: [wardPlaybook("sick"), wardPlaybook("quiet", { extra: "announce: never" })],
    targets: ward.targets(2),
    env: {
      SLACK_BOT_TOKEN: slack.botToken,
      SLACK_SIGNING_SECRET: slack.signingSecret,
      STATUS_TOKEN: page.token.reveal(),
    },
    sections: {
      slack: {
        botToken: { env: "SLACK_BOT_TOKEN" },
        signingSecret: { env: "SLACK_SIGNING_SECRET" },
        apiUrl: slack.apiUrl,
        channel: "#ops",
        users: { U0LEAD: "approver" },
      },
      statusPage: { ...statusPage, token: { env: "STATUS_TOKEN" } },
    },
  });
  afterwards(() => service.kill());
  return service;
}

/** When the change took effect, in milliseconds since 1970. */
async function effectAt(target: string): Promise<number> {
  const [row] = await query(
    ward.url,
    "SELECT extract(epoch FROM at)::float8 * 1000 AS at FROM effects WHERE target = $1",
    [target],
  );
  return row?.["at"] as number;
}

const postedAt = (index: number) => {
  const call = slack.calls("chat.postMessage")[index];
  return call ? performance.timeOrigin + call.at : Number.NaN;
};

test("a line in Slack and an entry on the status page come before the change, and their ends after it", async () => {
  const service = await start({ kind: "statuspage", url: page.double.url, pageId: page.pageId });
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const begun = Date.now();
  expect(await service.ended(run)).toMatchObject({ outcome: "fixed" });
  expect(Date.now() - begun).toBeLessThan(9_000);
  expect(postedAt(0)).toBeLessThan(await effectAt("w1"));
  const { events } = await service.run(run);
  const at = (type: string) => events.findIndex((event) => event.type === type);
  expect(at("announcing")).toBeLessThan(at("told"));
  expect(events.slice(0, at("step-started")).filter(({ type }) => type === "told")).toHaveLength(2);

  const [line] = slack.messages();
  expect(line?.text).toContain("w1");
  expect(line?.text).toContain("heal w1");
  await until(() => line && slack.thread(line).length === 1, { what: "the closing line" });
  await until(() => page.double.entries[0]?.status === "resolved", { what: "the entry to be closed" });
  expect(page.double.entries).toHaveLength(1);
  expect(page.double.entries[0]?.updates.length).toBeGreaterThanOrEqual(2);
  expect(slack.calls("chat.postMessage").length).toBe(2);
});

test("a webhook in the place of a status page is told the same, and a playbook that announces nothing tells nobody", async () => {
  const service = await start({ kind: "webhook", url: page.double.hookUrl });
  expect(await service.ended(await service.fire({ alertname: "quiet", service: "w2" }))).toMatchObject({
    outcome: "fixed",
  });
  expect(page.double.calls).toEqual([]);
  expect(slack.messages()).toEqual([]);
  const run = await service.fire({ alertname: "sick", service: "w1" });
  expect(await service.ended(run)).toMatchObject({ outcome: "fixed" });
  await until(() => page.double.calls.some(({ body }) => body?.["event"] === "closed"), { what: "the end" });
  expect(page.double.calls.map(({ body }) => body)).toMatchObject([
    { event: "announced", run, target: "w1", what: ["heal w1"], outcome: null },
    { event: "updated", run },
    { event: "closed", run, outcome: "fixed" },
  ]);
});

test("a Slack that hangs holds the change up for ten seconds, and is told afterwards", async () => {
  const service = await start({ kind: "webhook", url: page.double.hookUrl });
  slack.fail("chat.postMessage", "hang", 1);
  const begun = Date.now();
  const run = await service.fire({ alertname: "sick", service: "w1" });
  expect(await service.ended(run, 30_000)).toMatchObject({ outcome: "fixed" });
  const tookMs = (await effectAt("w1")) - begun;
  expect(tookMs).toBeGreaterThan(9_000);
  expect(tookMs).toBeLessThan(20_000);
  await until(() => slack.messages().length === 1, { what: "the line", timeoutMs: 30_000 });
});
