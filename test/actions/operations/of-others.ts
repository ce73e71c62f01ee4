/** One operation for each change of a Redis, of an HTTP server and of what stands in Slack. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { query } from "../../support/postgres.ts";
import type { TestRedis } from "../../support/redis.ts";
import type { SlackDouble } from "../../support/slack-double.ts";
import type { Make, Operation } from "./operation.ts";

/** An application with a path for every operation, which counts what is sent there and tells by its key whether it was. */
async function startHooks() {
  const heard = new Map<string, string[]>();
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://hooks");
    const keys = heard.get(pathname.replace(/^\/status/, "/hooks")) ?? [];
    if (request.method === "POST") heard.set(pathname, [...keys, String(request.headers["idempotency-key"])]);
    const answer = request.method === "POST" ? {} : { applied: keys.includes(searchParams.get("key") ?? "") };
    request.resume();
    response.writeHead(200, { "content-type": "application/json", connection: "close" }).end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard: (path: string) => heard.get(path)?.length ?? 0,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export async function otherOperations(redis: TestRedis, slack: SlackDouble, databaseUrl: string) {
  const hooks = await startHooks();
  const keys = new Redis(redis.url);

  const post = (name: string, status: object): Operation => {
    const path = `/hooks/${name}`;
    const { baseUrl, heard } = hooks;
    return {
      target: { http: { baseUrl, network: "private", post: [{ path, ...status }] } },
      with: { path, body: { warm: true } },
      whole: 1,
      effects: async () => heard(path),
    };
  };

  const made: Readonly<Record<string, Make>> = {
    "http.post": async (name) => post(name, { status: `/status/${name}` }),

    "notify.send": async (name) => {
      const text = `The maintenance ${name} begins.`;
      const effects = async () => slack.messages().filter((message) => message.text === text).length;
      // To hear it twice harms nobody; not to hear it might.
      return { target: {}, with: { text }, whole: 1, twice: 2, effects };
    },

    "report.send": async (name) => {
      const left = `SELECT count(*)::int AS left FROM paramedic.outbox o JOIN paramedic.runs r ON r.id = o.run_id
        WHERE o.topic = 'report' AND r.playbook = $1`;
      const effects = async () => Number((await query(databaseUrl, left, [name.replaceAll("_", "-")]))[0]?.["left"]);
      return { target: {}, with: { to: "readers", points: ["All is well."] }, whole: 1, effects, byRecord: true };
    },

    "redis.delete-keys": async (name) => {
      const [mine, others] = [`${name}:`, `other-${name}:`];
      const all = Array.from({ length: 700 }, (_, index) => `${mine}${index}`);
      await keys.mset(Object.fromEntries([...all, `${others}1`].map((key) => [key, "x"])));
      const variable = `REDIS_OF_${name.toUpperCase()}`;
      return {
        target: { redis: { url: { env: variable }, keyPatterns: [`${mine}*`] } },
        env: { [variable]: redis.url },
        with: { pattern: `${mine}*` },
        whole: all.length,
        effects: async () => {
          expect(await keys.exists(`${others}1`)).toBe(1);
          return all.length - (await keys.exists(all));
        },
      };
    },
  };

  return {
    made,
    /** A server that cannot tell what was sent to it. */
    untold: async (name: string): Promise<Operation> => post(name, {}),
    close: async () => {
      keys.disconnect();
      await hooks.close();
    },
  };
}
