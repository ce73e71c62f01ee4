/**
 * Keeps a connection of Socket Mode open, for sites that Slack cannot reach. Each connection is a receiver of Bolt's of
 * its own that is not allowed to reconnect by itself: where that fails, socket-mode 3.1 ends the process.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type App, type Logger, SocketModeReceiver } from "@slack/bolt";
import { within } from "../within.ts";
import type { DoorLog } from "./world.ts";

export interface SocketOptions {
  readonly appToken: string;
  /** Where the Web API is, with a final slash. */
  readonly apiUrl: string;
  readonly app: App;
  readonly logger: Logger;
  readonly log: DoorLog;
}

const connectWithinMs = 20_000;
const closeWithinMs = 1_000;
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;
/** A connection that does not live so long is no reason to connect again at once. */
const livesMs = 10_000;

/** Connects, and connects again whenever the connection is lost, until the signal aborts. Never rejects. */
export async function keepSocket(options: SocketOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  let pauseMs = firstPauseMs;
  while (!signal.aborted) {
    const connection = connect(options);
    const beganAt = performance.now();
    const opened = await within(connectWithinMs, signal, () => connection.opened);
    const isOpen = opened.kind === "done" && opened.value === null;
    if (isOpen) {
      log.info({}, "Connected to Slack by Socket Mode");
      await untilAborted(connection.lost, signal);
    }
    await connection.close();
    if (signal.aborted) return;
    if (isOpen && performance.now() - beganAt > livesMs) {
      // Slack asks for a new connection every few hours.
      pauseMs = firstPauseMs;
      continue;
    }
    const reason = opened.kind !== "done" ? `it took longer than ${connectWithinMs / 1_000} s` : opened.value;
    const fields = { reason: reason ?? "the connection ended", pauseMs };
    log.warn(fields, "Slack is not connected to by Socket Mode; trying again");
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

interface Connection {
  /** Resolves to null when it is usable, and to the reason when it could not be opened. */
  readonly opened: Promise<string | null>;
  readonly lost: Promise<void>;
  close(): Promise<void>;
}

function connect({ appToken, apiUrl, app, logger }: SocketOptions): Connection {
  const ended = new AbortController();
  const receiver = new SocketModeReceiver({
    appToken,
    logger,
    autoReconnectEnabled: false,
    installerOptions: {
      clientOptions: {
        slackApiUrl: apiUrl,
        retryConfig: { retries: 0 },
        rejectRateLimitedCalls: true,
        // Its own bound would hold the process for as long; this one ends with the connection.
        fetch: (url, init) => fetch(url, { ...init, redirect: "error", signal: ended.signal }),
      },
    },
  });
  receiver.init(app);
  const { client } = receiver;
  const lost = new Promise<void>((resolve) => client.once("disconnected", () => resolve()));
  const opened = receiver.start().then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : "Slack ended the connection"),
  );
  return {
    opened,
    lost,
    close: async () => {
      ended.abort();
      // One that is still being opened ends as soon as there is something to end.
      for (const state of ["connecting", "connected"]) {
        client.on(state, () => setImmediate(() => void client.disconnect().catch(() => undefined)));
      }
      const disconnect = () => client.disconnect().catch(() => undefined);
      await within(closeWithinMs, new AbortController().signal, disconnect);
      // The second time it neither waits for the other side's farewell nor leaves a timer behind that does.
      void disconnect();
    },
  };
}

async function untilAborted(end: Promise<void>, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { signal: over.signal });
  });
  await Promise.race([end, aborted]);
  over.abort();
}
