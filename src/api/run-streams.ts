/** The events of runs as they happen, as server-sent events: bounded in number, resumable, and ended when the server stops. */

import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { deadlineOf } from "../domain/deadline.ts";
import type { RunEvent } from "../domain/event.ts";
import type { ApiLog } from "./world.ts";

export interface RunStreams {
  /** Whether no further stream can be opened now. */
  isFull(): boolean;
  /** How many are open. */
  open(): number;
  /** Sends `first` and then what happens after it, until the run has ended or somebody closes the connection. */
  start(runId: string, first: readonly RunEvent[], after: number, response: ServerResponse): void;
  /** Ends all of them; their clients resume elsewhere. */
  close(): void;
}

export interface RunStreamsOptions {
  /** What has happened to these runs since, for all streams at once. */
  readonly news: (since: ReadonlyMap<string, number>) => Promise<ReadonlyMap<string, readonly RunEvent[]>>;
  readonly log: ApiLog;
  readonly most?: number;
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** How long a client may not read what was sent before it is given up. */
  readonly stallMs?: number;
}

interface Stream {
  readonly runId: string;
  readonly controller: AbortController;
  /** The position of what was sent last. */
  last: number;
  /** Takes what has happened since; null while it does not wait for that. */
  tell: ((news: readonly RunEvent[]) => void) | null;
}

export function createRunStreams(options: RunStreamsOptions): RunStreams {
  const { news: ask, log, most = 100, pollMs = 300, heartbeatMs = 15_000, stallMs = 30_000 } = options;
  const streams = new Set<Stream>();
  let closed = false;
  let asking = false;
  let failing = false;

  /** One question for all streams that wait, however many: people who decide share their connections with those who watch. */
  async function askForNews(): Promise<void> {
    asking = true;
    for (;;) {
      await pause(pollMs, undefined, { ref: false });
      const waiting = [...streams].filter((stream) => stream.tell !== null);
      if (waiting.length === 0) break;
      const since = new Map<string, number>();
      for (const { runId, last } of waiting) since.set(runId, Math.min(last, since.get(runId) ?? last));
      let news: ReadonlyMap<string, readonly RunEvent[]> = new Map();
      try {
        news = await ask(since);
        failing = false;
      } catch (error) {
        if (!failing) {
          log.warn(
            { streams: streams.size, err: error },
            "The streams of events cannot read the store and go on trying",
          );
        }
        failing = true;
      }
      for (const { runId, last, tell } of waiting) tell?.((news.get(runId) ?? []).filter(({ seq }) => seq > last));
    }
    asking = false;
  }

  /** What happens next to the run of a stream; nothing, after a while, where nothing does. */
  function newsOf(stream: Stream): Promise<readonly RunEvent[]> {
    return new Promise((resolve) => {
      stream.tell = (news) => {
        stream.tell = null;
        resolve(news);
      };
      if (!asking) void askForNews();
    });
  }

  function leave(stream: Stream): void {
    stream.controller.abort();
    stream.tell?.([]);
  }

  /** Writes, and waits where the client does not keep up. */
  async function send(response: ServerResponse, chunk: string, signal: AbortSignal): Promise<void> {
    if (response.write(chunk)) return;
    const deadline = deadlineOf([signal], stallMs);
    try {
      await once(response, "drain", { signal: deadline.signal });
    } finally {
      deadline.release();
    }
  }

  async function follow(stream: Stream, first: readonly RunEvent[], response: ServerResponse): Promise<void> {
    const { signal } = stream.controller;
    let news = first;
    let sentAt = performance.now();
    // The client's own pause before it comes back, should the connection break.
    await send(response, "retry: 1000\n\n", signal);
    while (!signal.aborted) {
      if (news.length > 0) {
        await send(response, news.map(eventText).join(""), signal);
        stream.last = news.at(-1)?.seq ?? stream.last;
        sentAt = performance.now();
        if (news.some((event) => event.type === "ended")) return;
      } else if (performance.now() - sentAt >= heartbeatMs) {
        await send(response, ": still here\n\n", signal);
        sentAt = performance.now();
      }
      if (!signal.aborted) news = await newsOf(stream);
    }
  }

  return {
    isFull: () => closed || streams.size >= most,
    open: () => streams.size,
    start: (runId, first, after, response) => {
      const stream: Stream = { runId, controller: new AbortController(), last: after, tell: null };
      const { signal } = stream.controller;
      streams.add(stream);
      response.once("close", () => leave(stream));
      response.writeHead(200, {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        // Nginx would collect events until its buffer is full.
        "x-accel-buffering": "no",
      });
      follow(stream, first, response)
        .then(() => response.end())
        .catch((error: unknown) => {
          const stalled = (error as Error).name === "AbortError" && !signal.aborted;
          if (closed && !stalled) response.end();
          else response.destroy();
          if (stalled) log.info({ run: runId }, "A stream of events was given up because its client does not read");
          else if (!signal.aborted) log.error({ run: runId, err: error }, "A stream of events failed by a bug");
        })
        .finally(() => streams.delete(stream));
    },
    close: () => {
      closed = true;
      for (const stream of streams) leave(stream);
    },
  };
}

function eventText(event: RunEvent): string {
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
