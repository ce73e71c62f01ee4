/** From a click in Slack to its acknowledgement: on an idle system, and with 1,000 approvals pending while 100 runs end every second. */

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Client } from "pg";
import { approveId } from "../src/oncall/slack/action-ids.ts";
import { type SlackDouble, startSlackDouble } from "../test/support/slack-double.ts";
import type { SlackMessage } from "../test/support/slack-double-workspace.ts";
import { until } from "../test/support/until.ts";
import { configurationWith, type Ground, token } from "./ground.ts";
import { bodyOf } from "./notifications.ts";
import type { load } from "./process/load.ts";
import type { worker } from "./process/worker.ts";
import { type Receiver, startProgram } from "./programs.ts";
import { compare, figure, type Row } from "./row.ts";
import { quantile } from "./statistics.ts";
import { type Partner, startPartner } from "./talk.ts";

const clicks = 300;
const clicksPerSecond = 20;
const warmUp = 20;
const pending = 1_000;
const endsPerSecond = 100;
const boundMs = 300;
const lead = "U0LEAD";

const asking = `name: asking
summary: Asks before it changes anything.
on: { alerts: ['alertname="Asking"'] }
target: { label: service }
announce: never
steps:
  - { id: change, do: http.post, with: { path: /change }, approval: always }
`;

/**
 * Acknowledged means answered with 200, as Slack counts it: the click is stored by then. Beside them, what storing one row
 * takes meanwhile, by nobody who is busy: where that is slow, the disk is, and a click is no faster.
 */
export async function clicksInSlack(ground: Ground): Promise<readonly Row[]> {
  const slack = await startSlackDouble();
  slack.addUser(lead);
  const house = await open(ground, slack);
  try {
    await house.ask(0, warmUp + clicks + 10);
    const clickable = await house.messages(warmUp + clicks);
    await clickAll(slack, clickable.slice(0, warmUp));
    const idleCommits = await house.commits();
    const idle = await clickAll(slack, clickable.slice(warmUp));
    const bareIdle = await idleCommits();

    await house.ask(10_000, pending + clicks);
    // All of them are asked for before anything is measured: the load is the runs that end, not the questions.
    const others = (await house.messages(pending + clicks)).slice(0, clicks);
    const loading = house.load(clicks / clicksPerSecond + 4);
    // Where a click fails, that is what is reported.
    loading.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const busyCommits = await house.commits();
    const since = performance.now();
    const endedBefore = await house.count("runs WHERE state = 'ended'");
    const busy = await clickAll(slack, others);
    const ended = (await house.count("runs WHERE state = 'ended'")) - endedBefore;
    const perSecond = (ended * 1_000) / (performance.now() - since);
    const bareBusy = await busyCommits();
    const pendingThen = await house.count("approvals WHERE state = 'pending'");
    await loading;
    const [idleP99, busyP99] = [quantile(idle, 0.99), quantile(busy, 0.99)];
    const of = (values: readonly number[]) => ({ p50: quantile(values, 0.5), p99: quantile(values, 0.99) });
    return [
      bounded({ what: "click to acknowledgement, idle, p99", ours: idleP99, ...of(idle) }),
      bounded({ what: "click to acknowledgement, busy, p99", ours: busyP99, ...of(busy) }),
      compare({ what: "click, busy to idle, p99", unit: "ms", ours: busyP99, baseline: idleP99 }, { atMost: 3 }),
      figure({
        what: "one row stored meanwhile, idle, p99",
        unit: "ms",
        ours: quantile(bareIdle, 0.99),
        ...of(bareIdle),
      }),
      figure({
        what: "one row stored meanwhile, busy, p99",
        unit: "ms",
        ours: quantile(bareBusy, 0.99),
        ...of(bareBusy),
      }),
      figure({ what: "approvals pending meanwhile", unit: "", ours: pendingThen }),
      figure({ what: "runs that ended meanwhile", unit: "1/s", ours: perSecond }),
    ];
  } finally {
    await house.stop();
    await slack.stop();
  }
}

/** Beside the bound itself. */
function bounded(row: Pick<Row, "what" | "ours" | "p50" | "p99">): Row {
  return compare({ ...row, unit: "ms", baseline: boundMs }, { atMost: 1 });
}

/** One click after the other at a steady rate, whether answered or not; the times to the answers. */
async function clickAll(slack: SlackDouble, messages: readonly SlackMessage[]): Promise<readonly number[]> {
  const started = performance.now();
  return await Promise.all(
    messages.map(async (message, index) => {
      const wait = started + (index * 1_000) / clicksPerSecond - performance.now();
      await new Promise((resolve) => setTimeout(resolve, wait));
      const { status, ms } = await slack.click({ message, actionId: approveId, user: lead });
      if (status !== 200) throw new Error(`a click was answered with ${status}`);
      return ms;
    }),
  );
}

interface House {
  /** Fires alerts, numbered from `first`, each of which starts a run that asks. */
  ask(first: number, count: number): Promise<void>;
  /** As many messages with a question that nobody has clicked on, once they are posted. */
  messages(count: number): Promise<readonly SlackMessage[]>;
  /** Lets runs begin and end at a steady rate. */
  load(seconds: number): Promise<void>;
  /** Stores rows at the rate of the clicks, whether stored or not, until the function that it returns is called for the times. */
  commits(): Promise<() => Promise<readonly number[]>>;
  count(what: string): Promise<number>;
  stop(): Promise<void>;
}

/** A receiver as it ships, and a worker whose actions do nothing. */
async function open(ground: Ground, slack: SlackDouble): Promise<House> {
  const databaseUrl = await ground.newDatabase();
  const place = { databaseUrl, redisUrl: ground.redisUrl };
  const configFile = await configurationWith(
    ground,
    [
      "worker: { concurrency: 10 }",
      "slack:",
      "  botToken: { env: SLACK_BOT_TOKEN }",
      "  signingSecret: { env: SLACK_SIGNING_SECRET }",
      `  apiUrl: ${slack.apiUrl}`,
      "  channel: '#ops'",
      `  users: { ${lead}: approver }`,
    ].join("\n"),
  );
  writeFileSync(join(dirname(configFile), "playbooks", "asking.yaml"), asking);
  process.env["SLACK_BOT_TOKEN"] = slack.botToken;
  process.env["SLACK_SIGNING_SECRET"] = slack.signingSecret;
  const receiver: Receiver = await startProgram(ground, place, { role: "receiver", configFile });
  const { variables } = await ground.environment(place);
  const driving: Partner<typeof worker> = await startPartner("worker", { ...variables, CONFIG_FILE: configFile });
  const generator: Partner<typeof load> = await startPartner("load");
  const [client, bare] = [new Client({ connectionString: databaseUrl }), new Client({ connectionString: databaseUrl })];
  await Promise.all([client.connect(), bare.connect()]);
  slack.sendTo(`${receiver.url}/slack/events`);
  const clicked = new Set<string>();
  return {
    ask: async (first, count) => {
      for (let sent = 0; sent < count; sent += 50) {
        const body = bodyOf(1_000_000 + first + sent, Math.min(50, count - sent)).replaceAll('"Benchmark"', '"Asking"');
        const response = await fetch(`${receiver.url}/webhooks/alertmanager`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body,
        });
        if (!response.ok) throw new Error(`the alerts were answered with ${response.status}`);
      }
    },
    messages: async (count) => {
      const open = () => slack.messages().filter(({ ts, edits }) => !clicked.has(ts) && edits === 0);
      await until(() => open().length >= count, { timeoutMs: 180_000, everyMs: 200, what: "the questions in Slack" });
      const chosen = open().slice(0, count);
      for (const { ts } of chosen) clicked.add(ts);
      return chosen;
    },
    load: async (seconds) => {
      await generator.ask("fire", { url: receiver.url, token, perSecond: endsPerSecond, seconds, first: 0 });
    },
    commits: async () => {
      await client.query("CREATE TABLE IF NOT EXISTS public.bare (at timestamptz)");
      const storing: Promise<number>[] = [];
      const store = async () => {
        const at = performance.now();
        await bare.query("INSERT INTO public.bare VALUES (now())");
        return performance.now() - at;
      };
      const timer = setInterval(() => storing.push(store()), 1_000 / clicksPerSecond);
      return async () => {
        clearInterval(timer);
        return await Promise.all(storing);
      };
    },
    count: async (what) => {
      const { rows } = await client.query<{ count: number }>(`SELECT count(*)::int AS count FROM paramedic.${what}`);
      return rows[0]?.count ?? 0;
    },
    stop: async () => {
      await Promise.all([client.end(), bare.end()]);
      await Promise.all([receiver.child.stop(), driving.child.stop(), generator.child.stop()]);
    },
  };
}
