/** A real HTTP server with only Alertmanager's door, and a recorder in place of the store behind it. */

import { createServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";

import type { IgnoredReason } from "../../src/domain/alert.ts";
import { errorHandler, notFound } from "../../src/http/errors.ts";
import { alertmanagerWebhook, type Delivery, type Receipt, type WebhookOptions } from "../../src/webhook/routes.ts";

export const token = "s3cr3t-of-the-tests";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface WebhookServer {
  readonly port: number;
  readonly deliveries: Delivery[];
  readonly lines: { readonly fields: object; readonly message: string }[];
  readonly counted: { accepted: number; readonly ignored: IgnoredReason[]; readonly codes: number[] };
  /** Posts with the right token and type unless told otherwise; null leaves a header out. */
  post(body: string | Buffer, headers?: Readonly<Record<string, string | null>>): Promise<Answer>;
  close(): Promise<void>;
}

/** One run for each alert, as if every alert had its playbook. */
export function runForEach(delivery: Delivery): Receipt {
  return {
    runs: delivery.alerts.map(({ fingerprint }) => ({ id: fingerprint, playbook: "p", target: "t", created: true })),
    ignored: [],
  };
}

export async function startWebhookServer(options: Partial<WebhookOptions> = {}): Promise<WebhookServer> {
  const deliveries: Delivery[] = [];
  const lines: { fields: object; message: string }[] = [];
  const counted: { accepted: number; ignored: IgnoredReason[]; codes: number[] } = {
    accepted: 0,
    ignored: [],
    codes: [],
  };
  const write = (fields: object, message: string) => void lines.push({ fields, message });
  const log = { info: write, warn: write, error: write };

  const app = express();
  app.disable("x-powered-by");
  app.use(
    alertmanagerWebhook({
      tokens: [token],
      receive: async (delivery) => {
        deliveries.push(delivery);
        return runForEach(delivery);
      },
      log,
      metrics: {
        alertsAccepted: (count) => {
          counted.accepted += count;
        },
        alertIgnored: (reason) => void counted.ignored.push(reason),
        webhookAnswered: (code) => void counted.codes.push(code),
      },
      ...options,
    }),
  );
  app.use(notFound());
  app.use(errorHandler(log));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  function post(body: string | Buffer, headers: Readonly<Record<string, string | null>> = {}): Promise<Answer> {
    const all = { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers };
    const sent = Object.fromEntries(
      Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null),
    );
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { host: "127.0.0.1", port, method: "POST", path: "/webhooks/alertmanager", headers: sent, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            const isJson = /json/.test(response.headers["content-type"] ?? "");
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              json: isJson ? JSON.parse(text) : null,
            });
          });
          response.on("error", reject);
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  }

  return {
    port,
    deliveries,
    lines,
    counted,
    post,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** An alert as Alertmanager 0.34 writes it; the number makes its fingerprint. */
export function alertBody(number: number, changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    status: "firing",
    labels: { alertname: "DatabaseOverload", severity: "warning", service: "youtility3", instance: `db-${number}` },
    annotations: { summary: "The database is overloaded" },
    startsAt: "2026-11-22T10:00:00.123456789Z",
    endsAt: "0001-01-01T00:00:00Z",
    generatorURL: "http://prometheus:9090/graph?g0.expr=up",
    fingerprint: number.toString(16).padStart(16, "0"),
    ...changes,
  };
}

/** A notification as Alertmanager 0.34 writes it, with fields that Paramedic does not know. */
export function notificationBody(alerts: readonly unknown[], changes: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    receiver: "paramedic",
    status: "firing",
    alerts,
    groupLabels: { alertname: "DatabaseOverload" },
    commonLabels: {},
    commonAnnotations: {},
    externalURL: "http://alertmanager:9093",
    version: "4",
    groupKey: '{}:{alertname="DatabaseOverload"}',
    truncatedAlerts: 0,
    notification_reason: "first notification",
    routeLabels: {},
    ...changes,
  });
}
