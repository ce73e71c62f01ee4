/** Real Alertmanagers for tests: Debian's prometheus-alertmanager (0.25), sending to one webhook. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { realService } from "./real-service.ts";
import { temporaryFolder } from "./run-folder.ts";
import { startServer, type TestServer } from "./server.ts";

export const alertmanagerService = realService(
  "Alertmanager (Debian: prometheus-alertmanager)",
  "prometheus-alertmanager",
);

/** An alert as Prometheus posts it; times are RFC 3339. */
export interface PostedAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly startsAt?: string;
  readonly endsAt?: string;
  readonly generatorURL?: string;
}

export interface TestAlertmanager extends TestServer {
  readonly url: string;
  /** Posts alerts as Prometheus does; fails when they are not accepted. */
  post(alerts: readonly PostedAlert[]): Promise<void>;
}

/** A whole configuration in Alertmanager's own words. */
export interface ConfiguredAlertmanager {
  readonly configuration: object;
}

/** Durations as Alertmanager writes them: "100ms", "1s". */
export interface AlertmanagerOptions {
  readonly webhookUrl: string;
  /** The bearer token sent to the webhook. */
  readonly token: string;
  readonly groupBy?: readonly string[];
  readonly groupWait?: string;
  readonly groupInterval?: string;
  readonly repeatInterval?: string;
  readonly sendResolved?: boolean;
  /** Cuts longer groups and counts what was cut; 0 sends all. */
  readonly maxAlerts?: number;
  /** Further fields of the top route, in Alertmanager's own words, as in `{ routes: [...] }`. */
  readonly route?: Readonly<Record<string, unknown>>;
  /** Joins instances over gossip; left out, an instance is alone. */
  readonly cluster?: { readonly port: number; readonly peers: readonly string[] };
}

/** Starts an Alertmanager on 127.0.0.1. */
export async function startAlertmanager(
  options: AlertmanagerOptions | ConfiguredAlertmanager,
): Promise<TestAlertmanager> {
  const folder = await temporaryFolder("alertmanager");
  const file = join(folder, "alertmanager.yml");
  // JSON is YAML.
  await writeFile(
    file,
    JSON.stringify("configuration" in options ? options.configuration : configuration(options), null, 2),
  );
  const server = await startServer({
    command: "prometheus-alertmanager",
    args: (port) => [
      `--config.file=${file}`,
      `--storage.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      ...clusterArguments("cluster" in options ? options.cluster : undefined),
    ],
    cwd: folder,
    ready: async (port) => (await get(`http://127.0.0.1:${port}/-/ready`)).ok,
  });
  const url = `http://127.0.0.1:${server.port}`;
  const post = async (alerts: readonly PostedAlert[]) => {
    const response = await fetch(`${url}/api/v2/alerts`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(alerts),
      signal: AbortSignal.timeout(5_000),
    });
    const body = await response.text();
    if (!response.ok) throw new Error(`Alertmanager answered ${response.status}: ${body}`);
  };
  return Object.defineProperties(server as TestAlertmanager, { url: { value: url }, post: { value: post } });
}

function configuration(options: AlertmanagerOptions): object {
  return {
    route: {
      receiver: "paramedic",
      group_by: options.groupBy ?? ["alertname"],
      group_wait: options.groupWait ?? "100ms",
      group_interval: options.groupInterval ?? "1s",
      repeat_interval: options.repeatInterval ?? "1h",
      ...options.route,
    },
    receivers: [
      {
        name: "paramedic",
        webhook_configs: [
          {
            url: options.webhookUrl,
            send_resolved: options.sendResolved ?? true,
            max_alerts: options.maxAlerts ?? 0,
            http_config: { authorization: { type: "Bearer", credentials: options.token } },
          },
        ],
      },
    ],
  };
}

function clusterArguments(cluster: AlertmanagerOptions["cluster"]): readonly string[] {
  if (cluster === undefined) return ["--cluster.listen-address="];
  const peers = cluster.peers.map((peer) => `--cluster.peer=${peer}`);
  return [`--cluster.listen-address=127.0.0.1:${cluster.port}`, "--cluster.settle-timeout=1s", ...peers];
}

async function get(url: string): Promise<Response> {
  const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
  await response.arrayBuffer();
  return response;
}
