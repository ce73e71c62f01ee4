/** `POST /webhooks/alertmanager`: who asks, what it says, and an answer only when it is stored. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Router } from "express";

import type { Alert, IgnoredReason } from "../domain/alert.ts";
import { closeUnlessSmall, createBearerCheck, refuseUnauthorized } from "../http/bearer.ts";
import { methodNotAllowed } from "../http/errors.ts";
import { createJsonReader } from "../http/json-body.ts";
import { type Problem, sendProblem } from "../http/problem.ts";
import { type InvalidAlert, parseNotification } from "./notification.ts";

/** The well-formed alerts of one notification. */
export interface Delivery {
  readonly alerts: readonly Alert[];
  /** How many alerts Alertmanager left out: then this is not the whole truth. */
  readonly truncated: number;
  readonly receiver: string;
  readonly groupKey: string;
}

/** What became of the alerts of a delivery. */
export interface Receipt {
  readonly runs: readonly {
    readonly id: string;
    readonly playbook: string;
    readonly target: string | null;
    readonly created: boolean;
  }[];
  readonly ignored: readonly { readonly fingerprint: string; readonly reason: IgnoredReason }[];
}

/** Stores a delivery and makes its runs; resolves when that is committed, rejects when it is not. */
export type Receive = (delivery: Delivery) => Promise<Receipt>;

export interface WebhookLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface WebhookMetrics {
  /** Alerts that were stored and not ignored. */
  alertsAccepted(count: number): void;
  alertIgnored(reason: IgnoredReason): void;
  webhookAnswered(code: number): void;
}

export interface WebhookOptions {
  /** Every token that is valid; at least one. */
  readonly tokens: readonly string[];
  readonly receive: Receive;
  readonly log: WebhookLog;
  readonly metrics: WebhookMetrics;
  /** The largest body, in bytes; 8 MiB where left out. */
  readonly limitBytes?: number;
  /** How long storing may take before Alertmanager is asked to try again, in milliseconds; 2,000 where left out. A flood has longer. */
  readonly receiveWithinMs?: number;
}

/** A flood that has to be told anew each time is never answered: each alert gives so many milliseconds more. */
const perAlertMs = 0.3;

/** Alertmanager's own bodies are four levels deep. */
const maxDepth = 32;

/** The router of Alertmanager's door. Throws where no token is given: without one everybody could start playbooks. */
export function alertmanagerWebhook(options: WebhookOptions): Router {
  const { tokens, receive, log, metrics, limitBytes = 8 * 1_048_576, receiveWithinMs = 2_000 } = options;
  if (tokens.length === 0) throw new Error("The webhook needs at least one bearer token");
  const isAllowed = createBearerCheck(tokens.map((token) => ({ token, identity: true })));
  const readJson = createJsonReader({ limitBytes, maxDepth });

  function refuse(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
    sendProblem(response, problem, closeUnlessSmall(request));
    metrics.webhookAnswered(problem.status);
  }

  async function post(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isAllowed(request.headers.authorization)) {
      log.warn({ remoteAddress: request.socket.remoteAddress }, "A webhook without a valid bearer token was refused");
      refuseUnauthorized(request, response);
      metrics.webhookAnswered(401);
      return;
    }
    const body = await readJson(request);
    if (body === null) return;
    const notification = body.ok ? parseNotification(body.value) : body;
    if (!notification.ok) {
      log.warn({ problem: notification.problem.name }, "A notification that cannot be read was refused");
      return refuse(request, response, notification.problem);
    }

    const { alerts, invalid, received, truncated, receiver, groupKey } = notification;
    const receipt =
      alerts.length === 0
        ? nothing
        : await within(receiveWithinMs + alerts.length * perAlertMs, () =>
            receive({ alerts, truncated, receiver, groupKey }),
          );
    if ("failure" in receipt) {
      log.error({ err: receipt.failure, alerts: alerts.length }, "A notification was not stored");
      return refuse(request, response, notStored);
    }

    if (invalid.length > 0) logInvalid(log, invalid, receiver);
    for (const _ of invalid) metrics.alertIgnored("invalid");
    for (const { reason } of receipt.ignored) metrics.alertIgnored(reason);
    metrics.alertsAccepted(Math.max(0, alerts.length - receipt.ignored.length));
    answer(response, {
      received,
      runs: receipt.runs.map(({ id, playbook, target, created }) => ({ id, playbook, target, created })),
      ignored: [
        ...receipt.ignored.map(({ fingerprint, reason }) => ({ fingerprint, reason })),
        ...invalid.map(({ fingerprint }) => ({ fingerprint, reason: "invalid" })),
      ],
    });
    metrics.webhookAnswered(200);
  }

  const router = Router({ caseSensitive: true });
  router.post("/webhooks/alertmanager", post);
  router.all("/webhooks/alertmanager", methodNotAllowed(["POST"]));
  return router;
}

const nothing: Receipt = { runs: [], ignored: [] };

/** What it resolves to, or why it did not in time. A late success is stored all the same: repeats find it there. */
async function within(ms: number, work: () => Promise<Receipt>): Promise<Receipt | { readonly failure: unknown }> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<{ failure: unknown }>((resolve) => {
    timer = setTimeout(() => resolve({ failure: new Error(`Storing took longer than ${ms} ms`) }), ms);
  });
  try {
    return await Promise.race([work(), timeout]);
  } catch (failure) {
    return { failure };
  } finally {
    clearTimeout(timer);
  }
}

function answer(response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

/** The first few with their reasons; a flood of bad alerts is not to become a flood of log lines. */
function logInvalid(log: WebhookLog, invalid: readonly InvalidAlert[], receiver: string): void {
  log.warn(
    { receiver, count: invalid.length, examples: invalid.slice(0, 10) },
    "Some alerts are invalid and were ignored",
  );
}

const notStored: Problem = {
  status: 503,
  name: "not-stored",
  title: "The notification was not stored",
  detail: "Alertmanager tries again by itself. If this lasts, look at /readyz and at Paramedic's own Postgres.",
};
