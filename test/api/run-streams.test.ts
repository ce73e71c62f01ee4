import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { createRunStreams, type RunStreams } from "../../src/api/run-streams.ts";
import type { RunEvent } from "../../src/domain/event.ts";
import { type ApiServer, type EventStream, startApiServer } from "../support/api-server.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

function path(run: string): string {
  return `/api/v1/runs/${run}/events`;
}

function idsOf(stream: EventStream): number[] {
  return stream.events().map(({ id }) => id);
}

describe("the events of a run, over HTTP", () => {
  let server: ApiServer;

  beforeEach(async () => {
    server = await startApiServer();
  });
  afterEach(() => server.close());

  test("come as they happen and end with the run", async () => {
    const run = await server.start();
    const stream = await server.follow(path(run));
    expect([stream.status, stream.headers["content-type"]]).toEqual([200, "text/event-stream"]);
    await until(() => stream.events().length === 1);
    await server.write(run, [{ type: "step-observed", step: "look", output: 1, durationMs: 1 }], { state: "released" });
    await until(() => stream.events().length === 2);
    await server.end(run);
    await stream.ended;
    expect(stream.events().map(({ id, event }) => [id, event])).toEqual([
      [1, "created"],
      [2, "step-observed"],
      [3, "ended"],
    ]);
    const { json } = await server.call("GET", `/api/v1/runs/${run}`);
    expect(stream.events().map(({ data }) => data)).toEqual(json.events);
  });

  test("resume after the last one that was seen, by header or parameter", async () => {
    const run = await server.start();
    await server.write(run, [{ type: "step-observed", step: "look", output: 1, durationMs: 1 }], { state: "released" });
    const resumed = [
      await server.follow(path(run), { "last-event-id": "1" }),
      await server.follow(`${path(run)}?after=1`),
      await server.follow(`${path(run)}?after=2`, { "last-event-id": "1" }),
    ];
    const upToDate = await server.follow(path(run), { "last-event-id": "2" });
    await server.end(run);
    await Promise.all([...resumed, upToDate].map(({ ended }) => ended));
    expect(resumed.map(idsOf)).toEqual([
      [2, 3],
      [2, 3],
      [2, 3],
    ]);
    expect(idsOf(upToDate)).toEqual([3]);
  });

  test("are all there for a run that has ended; who has seen the end is told to stay away", async () => {
    const run = await server.start();
    await server.end(run);
    const stream = await server.follow(path(run));
    await stream.ended;
    expect(idsOf(stream)).toEqual([1, 2]);
    expect((await server.call("GET", path(run), { headers: { "last-event-id": "2" } })).status).toBe(204);
  });

  test.each(["3", "-1", "x", "99999999999", "1.5"])("do not resume after %s, which is no event of it", async (id) => {
    const run = await server.start();
    const answer = await server.call("GET", path(run), { headers: { "last-event-id": id } });
    expect(answer.status).toBe(422);
    expect(answer.json.errors).toMatchObject([{ field: "Last-Event-ID" }]);
  });

  test("do not keep the server from stopping", async () => {
    const run = await server.start();
    const stream = await server.follow(path(run));
    await until(() => stream.events().length === 1);
    const begun = performance.now();
    server.api.close();
    await stream.ended;
    expect(performance.now() - begun).toBeLessThan(1_000);
    expect((await server.call("GET", path(run))).status).toBe(503);
  });
});

describe("a stream of events", () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  const created = { seq: 1, at: "2026-01-01T00:00:00.000Z", type: "alert-resolved", endsAt: null } as const;

  /** A server whose every request opens a stream over `events`. */
  async function serve(
    events: (after: number) => Promise<readonly RunEvent[]>,
    options: Partial<Parameters<typeof createRunStreams>[0]> = {},
  ): Promise<{ streams: RunStreams; port: number; messages: string[] }> {
    const messages: string[] = [];
    const write = (_: object, message: string) => void messages.push(message);
    const streams = createRunStreams({
      news: async (since) => new Map([["run", await events(since.get("run") ?? 0)]]),
      log: { info: write, warn: write, error: write },
      pollMs: 5,
      ...options,
    });
    const server = createServer((_request, response) => {
      if (streams.isFull()) response.writeHead(503).end();
      else streams.start("run", [created], 0, response);
    });
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    closers.push(async () => {
      streams.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return { streams, port: (server.address() as AddressInfo).port, messages };
  }

  async function open(port: number): Promise<{ text(): string; leave(): void; pause(): void; ended: Promise<void> }> {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    closers.push(async () => void socket.destroy());
    return {
      text: () => text,
      leave: () => void socket.destroy(),
      pause: () => void socket.pause(),
      ended: new Promise((resolve) => socket.once("close", () => resolve())),
    };
  }

  test("asks nothing more of the store once its client has left", async () => {
    let asked = 0;
    const { streams, port } = await serve(async () => {
      asked += 1;
      return [];
    });
    const client = await open(port);
    await until(() => asked > 3);
    client.leave();
    await until(() => streams.open() === 0);
    const then = asked;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asked).toBe(then);
  });

  test("beats while nothing happens", async () => {
    const { port } = await serve(async () => [], { heartbeatMs: 20 });
    const client = await open(port);
    await until(() => (client.text().match(/^: still here$/gm)?.length ?? 0) >= 2);
  });

  test("goes on when the store is back, and says once that it was away", async () => {
    let asked = 0;
    const { port, messages } = await serve(async (after) => {
      asked += 1;
      if (asked <= 5) throw new Error("the store is away");
      return [{ ...created, seq: after + 1, type: "ended", outcome: "fixed", reason: "r" }];
    });
    const client = await open(port);
    await until(() => client.text().includes("id: 2\nevent: ended"));
    expect(messages).toEqual(["The streams of events cannot read the store and go on trying"]);
  });

  test("asks the store together with all others, each of which has what comes after its own position", async () => {
    const asked: [string, number][][] = [];
    const happened = new Map<string, RunEvent[]>();
    const news = async (since: ReadonlyMap<string, number>) => {
      asked.push([...since]);
      return happened;
    };
    const streams = createRunStreams({
      news,
      log: { info: () => {}, warn: () => {}, error: () => {} },
      pollMs: 100,
    });
    let opened = 0;
    // Two follow each run: one from its beginning, and one that has seen more.
    const server = createServer((_request, response) => {
      const run = `run-${opened % 10}`;
      streams.start(run, [], opened < 10 ? 1 : 2, response);
      opened += 1;
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    closers.push(async () => {
      streams.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    const { port } = server.address() as AddressInfo;
    const clients: Awaited<ReturnType<typeof open>>[] = [];
    for (let index = 0; index < 20; index++) clients.push(await open(port));
    await until(() => streams.open() === 20);
    await until(() => asked.at(-1)?.length === 10);
    const [before, begun] = [asked.length, performance.now()];
    await until(() => asked.length >= before + 5);
    expect(performance.now() - begun).toBeGreaterThan(350);
    expect(asked.at(-1)).toEqual(Array.from({ length: 10 }, (_, index) => [`run-${index}`, 1]));
    happened.set("run-3", [
      { ...created, seq: 2 },
      { ...created, seq: 3, type: "ended", outcome: "fixed", reason: "r" } as RunEvent,
    ]);
    await until(() => clients.filter((client) => client.text().includes("id: 3\nevent: ended")).length === 2);
    const texts = clients.map((client) => client.text()).filter((text) => text.includes("id: "));
    expect(texts.map((text) => text.includes("id: 2\n")).sort()).toEqual([false, true]);
  });

  test("is one of a bounded number", async () => {
    const { streams, port } = await serve(async () => [], { most: 2 });
    const clients = [await open(port), await open(port)];
    await until(() => streams.open() === 2);
    const third = await open(port);
    await until(() => third.text().startsWith("HTTP/1.1 503"));
    clients[0]?.leave();
    await until(() => !streams.isFull());
  });

  test("is given up when its client does not read", async () => {
    const output = "x".repeat(1_000_000);
    const { streams, port, messages } = await serve(
      async (after) => [{ seq: after + 1, at: created.at, type: "step-observed", step: "s", output, durationMs: 1 }],
      { stallMs: 100 },
    );
    const client = await open(port);
    client.pause();
    await until(() => messages.length > 0);
    await until(() => streams.open() === 0);
    expect(messages).toEqual(["A stream of events was given up because its client does not read"]);
  });
});
