/** Holds what surrounds YOUTILITY3's playbooks: the rules that raise its alerts and the routes that they take, by Prometheus's own tools. */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { createActions } from "../src/actions/registry.ts";
import { loadPlaybooks } from "../src/playbooks/load.ts";
import { createMatchIndex } from "../src/playbooks/match.ts";
import { matchesAll } from "../src/playbooks/matcher.ts";
import { world as testWorld } from "./playbooks/actions.ts";
import { builtProgram } from "./support/built.ts";
import { realService } from "./support/real-service.ts";
import { temporaryFolder } from "./support/run-folder.ts";

const run = promisify(execFile);
const example = join(__dirname, "../examples/youtility3");
const rulesFile = join(example, "alerts.yml");
const routesFile = join(example, "alertmanager.yml");

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
}

const groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[] = parse(
  readFileSync(rulesFile, "utf8"),
).groups;
const rulesOf = (name: string) => groups.find((group) => group.name === name)?.rules ?? [];

const folder = join(__dirname, "../playbooks");
const world = {
  ...testWorld,
  actions: createActions({ prometheusUrl: null }),
  policies: ["application", "database"],
  contacts: ["monitoring", "paging", "dba", "infrastructure"],
};
const { playbooks } = loadPlaybooks(
  readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .map((file) => ({ file, text: readFileSync(join(folder, file), "utf8") })),
  world,
);
const startedBy = createMatchIndex(playbooks);
const raised = rulesOf("youtility3").map(({ alert, labels }) => ({ alertname: alert, ...labels }));

test.each(raised)("$alertname starts exactly one playbook", (labels) => {
  expect(startedBy(labels).map(({ playbook }) => playbook.name)).toHaveLength(1);
});

test("each alert that a playbook answers is raised by a rule", () => {
  const answering = playbooks.filter(({ matchers }) => matchers !== null);
  expect(answering.length).toBeGreaterThanOrEqual(9);
  expect(answering.filter(({ matchers }) => !raised.some((labels) => matchesAll(matchers ?? [], labels)))).toEqual([]);
});

/** A series that holds one value for 20 minutes, as promtool writes it. */
const holds = (series: string, value: number) => ({ series, values: `${value}x20` });

const scraped = '{job="youtility3"}';
const quiet = [
  holds("youtility3_response_time_p95_seconds", 0.9),
  holds("youtility3_query_time_p95_seconds", 0.09),
  holds("youtility3_error_ratio", 0.04),
  holds("youtility3_requests", 100),
  holds("youtility3_cache_hit_ratio", 0.6),
  holds("youtility3_cache_stale_entries", 0),
  holds("youtility3_metrics_bytes", 30e6),
  holds("youtility3_database_longest_query_seconds", 299),
  holds("youtility3_database_connections", 90),
  holds("youtility3_database_connections_limit", 100),
  holds(`process_resident_memory_bytes${scraped}`, 1e9),
  holds(`process_start_time_seconds${scraped}`, 1),
  holds(`up${scraped}`, 1),
];

const troubles: readonly (readonly [string, string, number])[] = [
  ["HighResponseTime", "youtility3_response_time_p95_seconds", 1.1],
  ["DatabaseQuerySlow", "youtility3_query_time_p95_seconds", 0.11],
  ["HighErrorRate", "youtility3_error_ratio", 0.06],
  ["LowCacheHitRate", "youtility3_cache_hit_ratio", 0.4],
  ["CacheInvalidationFailing", "youtility3_cache_stale_entries", 1],
  ["MemoryGrowing", "youtility3_metrics_bytes", 33e6],
  ["MemoryGrowing", `process_resident_memory_bytes${scraped}`, 2e9],
  ["DatabaseOverload", "youtility3_database_longest_query_seconds", 301],
  ["DatabaseOverload", "youtility3_database_connections", 91],
  ["ApplicationCrashLoop", `up${scraped}`, 0],
];

describe("the configuration", () => {
  const { escalation, contacts, announcements, statusPage } = parse(
    readFileSync(join(example, "paramedic.yaml"), "utf8"),
  );
  const path = ["monitoring-alerts@youtility.com", "dev-oncall@youtility.com", "arch-team@youtility.com"];

  test.each(["application", "database", "infrastructure"])("%s is escalated to L1, then L2, then L3", (name) => {
    const levels: readonly { after: string; email: readonly string[] }[] = escalation[name];
    expect(levels.map(({ after, email }) => [after, email[0]])).toEqual([
      ["0s", path[0]],
      ["15m", path[1]],
      ["45m", path[2]],
    ]);
  });

  test.each([
    ["database", "dba", "dba-team@youtility.com"],
    ["infrastructure", "infrastructure", "infra@youtility.com"],
    ["security", "security", "security@youtility.com"],
  ])("%s has its people outside at once, as a policy and as a contact", (policy, contact, address) => {
    expect(escalation[policy][0].email).toContain(address);
    expect(contacts[contact].email).toEqual([address]);
  });

  test("changes are announced in #ops and on the status page", () => {
    expect([announcements.slack, statusPage.kind]).toEqual(["#ops", "statuspage"]);
  });
});

/** The lines that `paramedic check` prints for the example, in an environment with these variables only. */
async function checked(args: readonly string[], env: Readonly<Record<string, string>>) {
  const program = join(await builtProgram(), "cli.js");
  const options = { cwd: join(__dirname, ".."), env: { PATH: process.env["PATH"] ?? "", ...env } };
  const ended = await run(process.execPath, [program, ...args], options).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
    ({ code, stdout, stderr }) => ({ code: code as number, stdout: stdout as string, stderr: stderr as string }),
  );
  return { ...ended, lines: ended.stdout.trimEnd().split("\n") };
}

/** What the example expects of its environment. */
function secrets(): Readonly<Record<string, string>> {
  const names = [...readFileSync(join(example, "paramedic.yaml"), "utf8").matchAll(/\{ env: ([A-Z0-9_]+) \}/g)];
  const sampleOf = (name: string) => {
    if (name === "SMTP_URL") return "smtps://paramedic@127.0.0.1:1";
    if (!name.endsWith("_URL")) return randomBytes(16).toString("hex");
    return name.endsWith("REDIS_URL") ? "redis://127.0.0.1:1" : "postgres://paramedic@127.0.0.1:1/youtility3";
  };
  return Object.fromEntries(names.map(([, name]) => [name as string, sampleOf(name as string)]));
}

describe("paramedic check", () => {
  const allWell = { code: 0, lines: [`1 targets and ${playbooks.length} playbooks are in order`] };

  test.each([
    [["check", "examples/youtility3"]],
    [["check", "examples/youtility3/"]],
    [["check", "examples/youtility3/paramedic.yaml"]],
    [["check", "--config", "examples/youtility3"]],
    [["check", "--config", "examples/youtility3/paramedic.yaml"]],
  ])("paramedic %j finds no problem, and nothing to warn of", async (args) => {
    expect(await checked(args, secrets())).toMatchObject(allWell);
  });

  test("names nothing but the secrets where the environment has none of them", async () => {
    const { code, lines } = await checked(["check", "examples/youtility3"], {});
    expect(code).toBe(1);
    expect(
      lines.filter(
        (line) =>
          !/^examples\/youtility3\/paramedic\.yaml:\d+: .*: the environment variable \w+ is not set$/.test(line),
      ),
    ).toEqual([]);
  });

  test("the one command that the example names finds no problem, with the made-up values that ship", async () => {
    const command = /node (--env-file=\S+) dist\/cli\.js (check [\w/]+)/;
    const texts = ["example.env", "paramedic.yaml", "../../docs/runbook.md"].map((name) =>
      readFileSync(join(example, name), "utf8"),
    );
    const named = texts.map((text) => command.exec(text)?.[0]);
    expect(new Set(named)).toEqual(
      new Set(["node --env-file=examples/youtility3/example.env dist/cli.js check examples/youtility3"]),
    );
    const program = join(await builtProgram(), "cli.js");
    const args = ["--env-file=examples/youtility3/example.env", program, "check", "examples/youtility3"];
    const { stdout } = await run(process.execPath, args, {
      cwd: join(__dirname, ".."),
      env: { PATH: process.env["PATH"] },
    });
    expect(stdout.trimEnd().split("\n")).toEqual(allWell.lines);
  });

  test("a folder without a configuration, and a configuration that is named twice, are wrong", async () => {
    const missing = await checked(["check", "examples/demo/playbooks"], secrets());
    expect(missing).toMatchObject({
      code: 1,
      lines: [
        expect.stringContaining("playbooks/paramedic.yaml:1: the configuration cannot be read"),
        expect.stringContaining("were not looked at"),
      ],
    });
    const twice = await checked(["check", "examples/youtility3", "--config", "examples/demo"], secrets());
    expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining("named twice") });
  });
});

realService("promtool (Debian: prometheus)", "promtool").describe("alerts.yml", () => {
  test("is in order for promtool", async () => {
    const { stdout } = await run("promtool", ["check", "rules", rulesFile]);
    expect(stdout).toContain("SUCCESS");
  });

  async function expectSuccess(interval: string, series: readonly object[], checks: readonly object[]): Promise<void> {
    const file = join(await temporaryFolder("promtool"), "test.yml");
    const tests = [{ interval, input_series: series, promql_expr_test: checks }];
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ rule_files: [rulesFile], evaluation_interval: interval, tests }));
    const { stdout } = await run("promtool", ["test", "rules", file]).catch((error) => {
      throw new Error(`${error.stdout}${error.stderr}`);
    });
    expect(stdout).toContain("SUCCESS");
  }

  /** Fails where other alerts than the expected ones fire after 18 minutes. */
  async function expectFiring(series: readonly object[], expected: readonly string[]): Promise<void> {
    const checks = raised.map(({ alertname }) => ({
      expr: `count(ALERTS{alertname="${alertname}",alertstate="firing",service="youtility3"}) or vector(0)`,
      eval_time: "18m",
      exp_samples: [{ labels: "{}", value: expected.includes(alertname) ? 1 : 0 }],
    }));
    await expectSuccess("1m", series, checks);
  }

  test("raises nothing while everything is just within its limit", async () => {
    await expectFiring(quiet, []);
  });

  test.each(troubles)("raises %s, and nothing else, for %s at %d", async (alert, series, value) => {
    const others = quiet.filter((one) => one.series !== series);
    await expectFiring([...others, holds(series, value)], [alert]);
  });

  test.each([
    ["HighErrorRate", "youtility3_error_ratio", 0.5],
    ["HighResponseTime", "youtility3_response_time_p95_seconds", 30],
    ["LowCacheHitRate", "youtility3_cache_hit_ratio", 0],
  ])("raises no %s for a handful of requests, and does for twenty", async (alert, series, value) => {
    const others = quiet.filter((one) => one.series !== series && one.series !== "youtility3_requests");
    await expectFiring([...others, holds(series, value), holds("youtility3_requests", 19)], []);
    await expectFiring([...others, holds(series, value), holds("youtility3_requests", 20)], [alert]);
  });

  test("raises DatabaseOverload, also on and on, where the application answers and its database does not", async () => {
    const ofDatabase = ({ series }: { series: string }) => series.startsWith("youtility3_database_");
    const others = quiet.filter((one) => !ofDatabase(one));
    await expectFiring(others, ["DatabaseOverload"]);
    // First nearly all connections are taken, then all of them.
    const full = { series: "youtility3_database_connections", values: "95x8 stale" };
    const limit = { series: "youtility3_database_connections_limit", values: "100x8 stale" };
    const check = (at: string) => ({
      expr: 'count(ALERTS{alertname="DatabaseOverload",alertstate="firing"}) or vector(0)',
      eval_time: at,
      exp_samples: [{ labels: "{}", value: 1 }],
    });
    await expectSuccess("1m", [...others, full, limit], ["5m", "9m", "10m", "18m"].map(check));
  });

  test("raises ApplicationCrashLoop for an application that starts again and again", async () => {
    const others = quiet.filter(({ series }) => !series.startsWith("process_start_time"));
    const starts = { series: `process_start_time_seconds${scraped}`, values: "1+60x20" };
    await expectFiring([...others, starts], ["ApplicationCrashLoop"]);
  });

  test("raises PerformanceDegraded where queries take three times as long as a day ago", async () => {
    const check = (value: number, at: string) => ({
      expr: 'count(ALERTS{alertname="PerformanceDegraded",alertstate="firing"}) or vector(0)',
      eval_time: at,
      exp_samples: [{ labels: "{}", value }],
    });
    const series = [{ series: "youtility3_query_time_p95_seconds", values: "0.01x150 0.05x12" }];
    await expectSuccess("10m", series, [check(0, "25h"), check(1, "26h30m")]);
  });
});

realService("amtool (Debian: prometheus-alertmanager)", "amtool").describe("alertmanager.yml", () => {
  test("is in order for amtool", async () => {
    const { stdout } = await run("amtool", ["check-config", routesFile]);
    expect(stdout).toContain("SUCCESS");
  });

  const receivers = async (labels: Readonly<Record<string, string>>) => {
    const given = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    const { stdout } = await run("amtool", ["config", "routes", "test", `--config.file=${routesFile}`, ...given]);
    return stdout.trim();
  };

  test.each(raised)("$alertname goes to Paramedic, and to support beside it", async (labels) => {
    expect(await receivers(labels)).toBe("paramedic,support");
  });

  test.each(rulesOf("paramedic"))("$alert goes to engineering and never to Paramedic itself", async (rule) => {
    expect(await receivers({ alertname: rule.alert, ...rule.labels })).toBe("engineering");
  });
});
