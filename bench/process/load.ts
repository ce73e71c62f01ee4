/** The load generator: sends notifications over plain sockets, as many as are taken or at a steady rate. */

import { connect, type Socket } from "node:net";
import { Queue } from "bullmq";
import { bodyOf } from "../notifications.ts";
import { quantile } from "../statistics.ts";
import { answerQuestions, sharedNow } from "../talk.ts";

interface Flood {
  readonly url: string;
  readonly token: string;
  readonly connections: number;
  readonly seconds: number;
  /** Alerts in one body. */
  readonly alerts: number;
  /** The number of the first alert. */
  readonly first: number;
}

interface Steady {
  readonly perSecond: number;
  readonly seconds: number;
  readonly first: number;
}

/** One request at a time, and its answer. */
interface Exchange {
  send(request: string): Promise<{ readonly status: number; readonly body: string }>;
  close(): void;
}

export const load = answerQuestions({
  /** Each connection sends its next body when the one before was answered. Every answer must be a 200. */
  async flood({ url, token, connections, seconds, alerts, first }: Flood) {
    const latencies: number[] = [];
    let sent = 0;
    const started = performance.now();
    const until = started + seconds * 1_000;
    await Promise.all(
      Array.from({ length: connections }, async () => {
        const exchange = await open(url);
        while (performance.now() < until) {
          const request = requestOf(url, token, bodyOf(first + sent * alerts, alerts));
          sent += 1;
          const at = performance.now();
          const { status } = await exchange.send(request);
          if (status !== 200) throw new Error(`${url} answered ${status}`);
          latencies.push(performance.now() - at);
        }
        exchange.close();
      }),
    );
    return {
      perSecond: (latencies.length * 1_000) / (performance.now() - started),
      sent,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
    };
  },

  /** Sends one alert after the other, whether answered or not, and says when that of each run was sent. */
  async fire({ url, token, perSecond, seconds, first }: Steady & { readonly url: string; readonly token: string }) {
    const idle: Exchange[] = [];
    return await steadily({ perSecond, seconds, first }, async (number) => {
      const exchange = idle.pop() ?? (await open(url));
      const { status, body } = await exchange.send(requestOf(url, token, bodyOf(number, 1)));
      if (status !== 200) throw new Error(`${url} answered ${status}`);
      idle.push(exchange);
      return JSON.parse(body).runs[0].id;
    }).finally(() => {
      for (const exchange of idle) exchange.close();
    });
  },

  /** The raw counterpart: adds to a queue of BullMQ's. */
  async add({ redisUrl, perSecond, seconds, first }: Steady & { readonly redisUrl: string }) {
    const queue = new Queue("raw", { connection: { url: redisUrl } });
    await queue.waitUntilReady();
    const sentAt = await steadily({ perSecond, seconds, first }, async (number) => {
      await queue.add("raw", { run: String(number) }, { removeOnComplete: true });
      return String(number);
    });
    await queue.close();
    return sentAt;
  },
});

async function steadily(
  { perSecond, seconds, first }: Steady,
  send: (number: number) => Promise<string>,
): Promise<Record<string, number>> {
  const sentAt: Record<string, number> = {};
  const sending: Promise<void>[] = [];
  const started = performance.now();
  for (let index = 0; index < perSecond * seconds; index++) {
    const wait = started + (index * 1_000) / perSecond - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const at = sharedNow();
    sending.push(
      send(first + index).then((run) => {
        sentAt[run] = at;
      }),
    );
  }
  await Promise.all(sending);
  return sentAt;
}

function requestOf(url: string, token: string, body: string): string {
  return [
    "POST /webhooks/alertmanager HTTP/1.1",
    `host: ${new URL(url).host}`,
    `authorization: Bearer ${token}`,
    "content-type: application/json",
    "user-agent: Alertmanager/0.25.0",
    `content-length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ].join("\r\n");
}

/** One connection that is kept, with one request under way at a time. A client of `node:http` costs more than the servers. */
async function open(url: string): Promise<Exchange> {
  const { hostname, port } = new URL(url);
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connect(Number(port), hostname, () => resolve(opening));
    opening.once("error", reject);
  });
  socket.setNoDelay(true);
  let received = "";
  let settle: { resolve(answer: { status: number; body: string }): void; reject(error: Error): void } | null = null;
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    received += chunk;
    const head = received.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/^content-length: (\d+)/im.exec(received.slice(0, head))?.[1] ?? 0);
    if (received.length < head + 4 + length) return;
    const answer = { status: Number(received.slice(9, 12)), body: received.slice(head + 4) };
    received = "";
    settle?.resolve(answer);
  });
  socket.on("error", (error) => settle?.reject(error));
  socket.on("close", () => settle?.reject(new Error(`${url} closed the connection`)));
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        settle = { resolve, reject };
        socket.write(request);
      }),
    close: () => {
      settle = null;
      socket.destroy();
    },
  };
}
