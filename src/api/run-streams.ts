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
  readonly events: (runId: string, afterSeq: number) => Promise<readonly RunEvent[]>;
  readonly log: ApiLog;
  readonly most?: number;
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** How long a client may not read what was sent before it is given up. */
  readonly stallMs?: number;
}

export function createRunStreams(options: RunStreamsOptions): RunStreams {
  const { events, log, most = 100, pollMs = 300, heartbeatMs = 15_000, stallMs = 30_000 } = options;
  const streams = new Set<AbortController>();
  let closed = false;

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

  async function follow(
    runId: string,
    first: readonly RunEvent[],
    after: number,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    let news = first;
    let last = after;
    let sentAt = performance.now();
    let failing = false;
    // The client's own pause before it comes back, should the connection break.
    await send(response, "retry: 1000\n\n", signal);
    while (!signal.aborted) {
      if (news.length > 0) {
        await send(response, news.map(eventText).join(""), signal);
        last = news.at(-1)?.seq ?? last;
        sentAt = performance.now();
        if (news.some((event) => event.type === "ended")) return;
      } else if (performance.now() - sentAt >= heartbeatMs) {
        await send(response, ": still here\n\n", signal);
        sentAt = performance.now();
      }
      await pause(pollMs, undefined, { signal });
      try {
        news = await events(runId, last);
        failing = false;
      } catch (error) {
        news = [];
        if (!failing)
          log.warn({ run: runId, err: error }, "A stream of events cannot read the store and goes on trying");
        failing = true;
      }
    }
  }

  return {
    isFull: () => closed || streams.size >= most,
    open: () => streams.size,
    start: (runId, first, after, response) => {
      const stream = new AbortController();
      streams.add(stream);
      response.once("close", () => stream.abort());
      response.writeHead(200, {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        // Nginx would collect events until its buffer is full.
        "x-accel-buffering": "no",
      });
      follow(runId, first, after, response, stream.signal)
        .then(() => response.end())
        .catch((error: unknown) => {
          const stalled = (error as Error).name === "AbortError" && !stream.signal.aborted;
          if (closed && !stalled) response.end();
          else response.destroy();
          if (stalled) log.info({ run: runId }, "A stream of events was given up because its client does not read");
          else if (!stream.signal.aborted) log.error({ run: runId, err: error }, "A stream of events failed by a bug");
        })
        .finally(() => streams.delete(stream));
    },
    close: () => {
      closed = true;
      for (const stream of streams) stream.abort();
    },
  };
}

function eventText(event: RunEvent): string {
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
