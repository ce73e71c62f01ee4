import { createServer, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { alertmanagerService, startAlertmanager } from "./alertmanager.ts";
import { prometheusService, startPrometheus } from "./prometheus.ts";
import { redisService, startRedis } from "./redis.ts";
import { startTcpProxy } from "./tcp-proxy.ts";
import { sleep, until } from "./until.ts";

jest.setTimeout(60_000);

async function talk(port: number): Promise<Socket & { heard: string }> {
  return await new Promise((resolve, reject) => {
    const socket = Object.assign(connect(port, "127.0.0.1"), { heard: "" });
    socket.on("data", (piece) => {
      socket.heard += piece.toString();
    });
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}

redisService.describe("the Redis for tests", () => {
  test("keeps an append-only file through a SIGKILL, on the same port", async () => {
    const redis = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const before = await talk(redis.port);
    before.write("SET kept 42\r\n");
    await until(() => before.heard.includes("+OK"));
    before.destroy();
    await redis.kill();
    await redis.start();
    const after = await talk(redis.port);
    after.write("GET kept\r\n");
    await until(() => after.heard.includes("42"));
    after.destroy();
    await redis.stop();
    await expect(talk(redis.port)).rejects.toThrow(/ECONNREFUSED/);
  });

  test("is out of reach, hangs and is slow when the proxy before it says so", async () => {
    const redis = await startRedis();
    const proxy = await startTcpProxy(redis.port);
    const socket = await talk(proxy.port);
    const ask = async () => {
      socket.heard = "";
      const asked = performance.now();
      socket.write("PING\r\n");
      await until(() => socket.heard === "+PONG\r\n", { timeoutMs: 3_000, everyMs: 1, what: "PONG" });
      return performance.now() - asked;
    };
    expect(await ask()).toBeLessThan(150);
    proxy.delay(100);
    expect(await ask()).toBeGreaterThan(199);
    await proxy.restore();

    await proxy.hang();
    socket.heard = "";
    socket.write("PING\r\n");
    const other = await talk(proxy.port);
    other.write("PING\r\n");
    await sleep(300);
    expect([socket.heard, other.heard]).toEqual(["", ""]);
    await proxy.restore();
    await until(() => socket.heard === "+PONG\r\n" && other.heard === "+PONG\r\n", { what: "both to go on" });

    const reset = new Promise((resolve) => socket.once("error", resolve));
    other.on("error", () => undefined);
    await proxy.cut();
    expect(await reset).toMatchObject({ code: "ECONNRESET" });
    await expect(talk(proxy.port)).rejects.toThrow(/ECONNREFUSED/);
    await proxy.restore();
    (await talk(proxy.port)).destroy();
    await proxy.stop();
    await redis.stop();
  });
});

alertmanagerService.describe("the Alertmanager for tests", () => {
  test("sends the alerts it is given to the webhook, with the token", async () => {
    const received: { authorization: string | undefined; body: { alerts: unknown[] } }[] = [];
    const receiver = createServer(async (request: IncomingMessage, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece);
      received.push({
        authorization: request.headers.authorization,
        body: JSON.parse(Buffer.concat(pieces).toString()),
      });
      response.end();
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const address = receiver.address() as { port: number };
    const alertmanager = await startAlertmanager({
      webhookUrl: `http://127.0.0.1:${address.port}/hook`,
      token: "secret",
    });
    await alertmanager.post([{ labels: { alertname: "DatabaseOverload", service: "yt3" } }]);
    await until(() => received.length > 0, { what: "a notification" });
    expect(received[0]?.authorization).toBe("Bearer secret");
    expect(received[0]?.body).toMatchObject({
      version: "4",
      status: "firing",
      alerts: [{ labels: { service: "yt3" } }],
    });
    await expect(alertmanager.post([{ labels: {} }])).rejects.toThrow(/Alertmanager answered 400/);
    await alertmanager.stop();
    receiver.closeAllConnections();
    await new Promise((resolve) => receiver.close(resolve));
  });
});

prometheusService.describe("the Prometheus for tests", () => {
  test("scrapes, and answers queries from its rules", async () => {
    const rule = { record: "test:two", expr: "vector(1) + vector(1)" };
    const prometheus = await startPrometheus({ interval: "200ms", ruleGroups: [{ name: "test", rules: [rule] }] });
    const answer = await until(
      async () => {
        const response = await fetch(`${prometheus.url}/api/v1/query?query=test:two`);
        const body = (await response.json()) as { data: { result: { value: [number, string] }[] } };
        return body.data.result[0]?.value[1];
      },
      { what: "the rule to be evaluated" },
    );
    expect(answer).toBe("2");
    await prometheus.stop();
  });
});
