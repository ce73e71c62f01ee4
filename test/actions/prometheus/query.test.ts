import { accessSync, constants } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { prometheusQuery } from "../../../src/actions/prometheus/query.ts";
import { freePort } from "../../support/free-port.ts";
import { startChild } from "../../support/process.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { until } from "../../support/until.ts";
import { canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

const binary = "/usr/bin/prometheus";

function isInstalled(): boolean {
  try {
    accessSync(binary, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const query = (url: string | null, promql: string) => prometheusQuery(url).observe({ query: promql }, contextFor(null));

describe("without a Prometheus", () => {
  test("says what to configure where there is none", async () => {
    expect(await query(null, "1")).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("Add prometheus.url"),
    });
  });

  test("says that the URL is wrong where it is none", async () => {
    expect(await query("prometheus:9090", "1")).toMatchObject({ status: "failed", retryable: false });
  });

  test("says that something else answers where it is no Prometheus", async () => {
    const server: Server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end('{"status":"success","data":[]}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const observed = await query(`http://127.0.0.1:${port}`, "1");
    await new Promise((resolve) => server.close(resolve));
    expect(observed).toMatchObject({ status: "failed", reason: expect.stringContaining("is no Prometheus") });
  });
});

if (!isInstalled() && process.env["CI"] === "true") {
  test("prometheus is installed", () => {
    throw new Error(`${binary} is missing. Install the Debian package prometheus.`);
  });
}
if (!isInstalled()) process.stderr.write(`SKIPPED: ${binary} is missing. Install the Debian package prometheus.\n`);

(isInstalled() ? describe : describe.skip)("with a real Prometheus", () => {
  let url: string;
  let stop: () => Promise<unknown>;

  beforeAll(async () => {
    const folder = await temporaryFolder("prometheus");
    const port = await freePort();
    const target = `127.0.0.1:${port}`;
    await writeFile(
      join(folder, "prometheus.yml"),
      JSON.stringify({
        global: { scrape_interval: "1s" },
        scrape_configs: [
          { job_name: "self", metrics_path: "/prometheus/metrics", static_configs: [{ targets: [target] }] },
        ],
      }),
    );
    const child = await startChild(binary, [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${target}`,
      `--web.external-url=http://${target}/prometheus/`,
    ]);
    stop = () => child.stop();
    url = `http://paramedic:${canary}@${target}/prometheus/`;
    await until(async () => (await query(url, "up")).status === "observed", {
      timeoutMs: 30_000,
      what: () => `Prometheus to scrape itself (it printed: ${child.output()})`,
    });
  }, 60_000);

  afterAll(() => stop());

  describeContract("prometheus.query", {
    input: { query: 'up{job="self"}' },
    hostile: [
      null,
      {},
      { query: "" },
      { query: " \n" },
      { query: 1 },
      { query: "u".repeat(9_000) },
      { query: "up", url: "http://x" },
    ],
    healthy: () => ({ action: prometheusQuery(url), target: null }),
    at: (port) => ({
      action: prometheusQuery(`http://paramedic:${canary}@127.0.0.1:${port}/prometheus`),
      target: null,
    }),
    state: async () => (await query(url, 'count({__name__=~"ALERTS.*"}) or vector(0)')).status,
  });

  test.each<[string, number]>([
    ['up{job="self"}', 1],
    ["sum(up) * 2.5", 2.5],
    ["scalar(up) - 2", -1],
    ["vector(3)", 3],
    ["1e3", 1_000],
  ])("%s is %d", async (promql, value) => {
    expect(await query(url, promql)).toEqual({ status: "observed", output: { value } });
  });

  test.each<[string, string, boolean]>([
    ["no_such_metric", "No data", true],
    ["up == 17", "No data", true],
    ['{__name__=~"prometheus_.*"}', "series, not in one", false],
    ["vector(0) / 0", "NaN", true],
    ["vector(1) / 0", "+Inf", true],
    ['"text"', "no instant vector", false],
    ["up[5m]", "no instant vector", false],
    ["sum(", "answered 400: invalid parameter", false],
    ["up&query=vector(7)", "answered 400", false],
  ])("%s is a failure that says: %s", async (promql, words, retryable) => {
    expect(await query(url, promql)).toMatchObject({
      status: "failed",
      retryable,
      reason: expect.stringContaining(words),
    });
  });
});
