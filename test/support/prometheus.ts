/** Real Prometheus servers for tests: Debian's prometheus, scraping what it is told once a second or faster. */

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { realService } from "./real-service.ts";
import { temporaryFolder } from "./run-folder.ts";
import { startServer, type TestServer } from "./server.ts";

export const prometheusService = realService("Prometheus (Debian: prometheus)", "prometheus");

export interface TestPrometheus extends TestServer {
  readonly url: string;
}

export interface PrometheusOptions {
  /** A free one unless given. */
  readonly port?: number;
  /** What to scrape: `host:port` of servers with a /metrics page. */
  readonly scrape?: readonly string[];
  /** The name of what is scraped, "test" unless given, and the path of its page, /metrics unless given. */
  readonly job?: string;
  readonly metricsPath?: string;
  /** "1s" unless given; the rules are evaluated as often. */
  readonly interval?: string;
  /** Rule groups in Prometheus's own words. */
  readonly ruleGroups?: readonly object[];
  /** `host:port` of the Alertmanagers to tell. */
  readonly alertmanagers?: readonly string[];
  /** What it has known since before it started: series by name, with labels where they have some, each as pairs of seconds since 1970 and a value, oldest first. */
  readonly history?: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

/** Starts a Prometheus on 127.0.0.1. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<TestPrometheus> {
  const {
    scrape = [],
    job = "test",
    metricsPath = "/metrics",
    interval = "1s",
    ruleGroups = [],
    alertmanagers = [],
    history,
    port,
  } = options;
  const folder = await temporaryFolder("prometheus");
  const [file, rules] = [join(folder, "prometheus.yml"), join(folder, "rules.yml")];
  // JSON is YAML.
  await writeFile(rules, JSON.stringify({ groups: ruleGroups }));
  await writeFile(
    file,
    JSON.stringify({
      global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
      rule_files: [rules],
      scrape_configs: [{ job_name: job, metrics_path: metricsPath, static_configs: [{ targets: scrape }] }],
      alerting: { alertmanagers: [{ static_configs: [{ targets: alertmanagers }] }] },
    }),
  );
  if (history && Object.keys(history).length > 0) await backfill(folder, history);
  const server = await startServer({
    command: "prometheus",
    args: (port) => [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      "--storage.tsdb.retention.time=90d",
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    cwd: folder,
    port,
    ready: async (port) => {
      const response = await fetch(`http://127.0.0.1:${port}/-/ready`, { signal: AbortSignal.timeout(1_000) });
      await response.arrayBuffer();
      return response.ok;
    },
  });
  return Object.defineProperty(server as TestPrometheus, "url", { value: `http://127.0.0.1:${server.port}` });
}

async function backfill(folder: string, history: NonNullable<PrometheusOptions["history"]>): Promise<void> {
  const file = join(folder, "history.txt");
  const lines = Object.entries(history).flatMap(([name, samples]) => [
    `# TYPE ${name.replace(/\{.*/, "")} gauge`,
    ...samples.map(([time, value]) => `${name} ${value} ${time}`),
  ]);
  await writeFile(file, `${lines.join("\n")}\n# EOF\n`);
  await promisify(execFile)("promtool", [
    "tsdb",
    "create-blocks-from",
    "openmetrics",
    "-q",
    // A few large blocks: hundreds of small ones take half a minute.
    "--max-block-duration=744h",
    file,
    join(folder, "data"),
  ]);
}
