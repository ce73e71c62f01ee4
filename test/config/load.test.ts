import { join } from "node:path";
import { inspect } from "node:util";

import { loadConfig } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { type ConfigFolder, createConfigFolder, minimal } from "../support/config-file.ts";

let files: ConfigFolder;

beforeEach(() => {
  files = createConfigFolder();
});

afterEach(() => files.remove());

const whole = `
listen: 127.0.0.1:9095
publicUrl: https://paramedic.example.net
database: { url: { env: OWN_DATABASE } }
redis: { url: { env: OWN_REDIS } }
alertmanager:
  tokens: [{ env: ALERTMANAGER_TOKEN }]
api:
  tokens:
    - { name: oncall-cli, role: approver, secret: { env: ONCALL_TOKEN } }
playbooks: playbooks/
targets:
  youtility3:
    host: app-1
    labels: { service: [youtility3, yt3] }
    postgres: { url: { env: YT3_DATABASE_URL }, users: [youtility3], databases: [youtility3] }
    redis: { url: { env: YT3_REDIS_URL }, keyPatterns: ['*tree:*'] }
    systemd: { units: [youtility3.service, nginx.service] }
    django: { project: /srv/youtility3, python: /srv/youtility3/venv/bin/python, settings: youtility3.settings }
    http: { baseUrl: http://app-server:8000 }
escalation:
  database:
    - { after: 0s, email: [monitoring-alerts@youtility.com], slack: '#ops' }
    - { after: 15m, pagerduty: { env: PD_DATABASE_KEY }, email: [dev-oncall@youtility.com] }
slack:
  botToken: { env: SLACK_BOT_TOKEN }
  signingSecret: { env: SLACK_SIGNING_SECRET }
  apiUrl: https://slack.com/api/
  channel: '#ops'
  users: { U024BE7LH: approver, U0G9QF9C6: operator }
  groups: { S0614TZR7: approver }
approvals: { expireAfter: 30m, atLeast: 1 }
email: { smtp: { env: SMTP_URL }, from: paramedic@youtility.com }
pagerduty: { routingKey: { env: PD_KEY }, server: events.pagerduty.com }
statusPage: { kind: statuspage, url: https://api.statuspage.io/v1, pageId: kctbh9vrtdwd, token: { env: STATUSPAGE_TOKEN } }
prometheus: { url: http://prometheus:9090 }
`;

const wholeEnv = {
  OWN_DATABASE: "postgres://paramedic:own-db-canary@db/paramedic",
  OWN_REDIS: "redis://:redis-canary@redis:6379",
  ONCALL_TOKEN: "oncall-canary-token",
  YT3_DATABASE_URL: "postgresql://app:p%40tient-canary@db/youtility3",
  YT3_REDIS_URL: "rediss://cache",
  PD_DATABASE_KEY: "pd-database-canary",
  SLACK_BOT_TOKEN: "xoxb-canary",
  SLACK_SIGNING_SECRET: "signing-canary",
  SMTP_URL: "smtp://user:smtp-canary@mail:25",
  PD_KEY: "pd-canary",
  STATUSPAGE_TOKEN: "statuspage-canary",
};

test("the configuration of the contract is read whole", () => {
  const config = files.config(whole, wholeEnv);
  expect(config).toMatchObject({
    listen: { host: "127.0.0.1", port: 9095 },
    publicUrl: "https://paramedic.example.net",
    playbooks: join(files.folder, "playbooks"),
    approvals: { expireAfterMs: 1_800_000, atLeast: 1 },
    prometheus: { url: "http://prometheus:9090" },
    email: { from: "paramedic@youtility.com" },
    pagerduty: { server: "events.pagerduty.com" },
    statusPage: { kind: "statuspage", pageId: "kctbh9vrtdwd" },
    slack: { channel: "#ops", appToken: null },
  });
  expect(config.targets).toEqual([
    {
      name: "youtility3",
      host: "app-1",
      labels: expect.objectContaining({ service: ["youtility3", "yt3"] }),
      postgres: { url: wholeEnv.YT3_DATABASE_URL, users: ["youtility3"], databases: ["youtility3"] },
      redis: { url: "rediss://cache", keyPatterns: ["*tree:*"] },
      systemd: { units: ["youtility3.service", "nginx.service"] },
      django: {
        project: "/srv/youtility3",
        python: "/srv/youtility3/venv/bin/python",
        settings: "youtility3.settings",
        env: {},
        warmUp: [],
        reports: [],
        metrics: {},
      },
      http: { baseUrl: "http://app-server:8000" },
    },
  ]);
  expect(config.database?.url.reveal()).toBe(wholeEnv.OWN_DATABASE);
  expect(config.alertmanager.tokens.map((token) => token.reveal())).toEqual(["a-long-random-token-1"]);
  expect(config.api.tokens).toMatchObject([{ name: "oncall-cli", role: "approver" }]);
  expect(config.slack?.users.get("U0G9QF9C6")).toBe("operator");
  expect(config.slack?.apiUrl).toBe("https://slack.com/api");
  expect(config.announcements.slack).toBe("#ops");
  expect(config.warnings).toEqual([]);
  expect(config.escalation.get("database")).toMatchObject([
    { afterMs: 0, slack: "#ops", pagerduty: null },
    { afterMs: 900_000, slack: null, email: ["dev-oncall@youtility.com"] },
  ]);
});

test("everything but the token has a default", () => {
  const config = files.config(minimal);
  expect({ ...config, alertmanager: null, secrets: null }).toEqual({
    file: join(files.folder, "paramedic.yaml"),
    listen: { host: "127.0.0.1", port: 9095 },
    publicUrl: null,
    log: { level: "info" },
    database: null,
    redis: null,
    alertmanager: null,
    api: { tokens: [] },
    playbooks: join(files.folder, "playbooks"),
    targets: [],
    escalation: new Map(),
    approvals: { expireAfterMs: 1_800_000, atLeast: 1, escalateAfterMs: 120_000 },
    approvers: new Map(),
    contacts: new Map(),
    announcements: { slack: null, leadMs: 600_000 },
    prometheus: null,
    slack: null,
    email: null,
    pagerduty: null,
    statusPage: null,
    heartbeat: null,
    worker: { concurrency: 50, leaseMs: 30_000, drainMs: 25_000, reconcileEveryMs: 2_000, hostWaitMs: 120_000 },
    stateDir: join(files.folder, "var"),
    pauseFile: join(files.folder, "var/paused"),
    limits: { webhookBodyBytes: 8_388_608, apiBodyBytes: 1_048_576 },
    systemBusAddress: null,
    secrets: null,
    warnings: [],
    warningsForTwo: [],
  });
});

test("every secret value is known for redaction, also passwords inside URLs in each of their forms", () => {
  const { secrets } = files.config(whole, wholeEnv);
  expect([...secrets].sort()).toEqual(
    [
      "a-long-random-token-1",
      "oncall-canary-token",
      "own-db-canary",
      "p%40tient-canary",
      "p@tient-canary",
      "pd-canary",
      "pd-database-canary",
      "redis-canary",
      "signing-canary",
      "smtp-canary",
      "statuspage-canary",
      "xoxb-canary",
    ].sort(),
  );
});

test("a secret does not show itself", () => {
  const { alertmanager, database } = files.config(whole, wholeEnv);
  for (const text of [inspect({ alertmanager, database }, { depth: 9 }), JSON.stringify({ alertmanager, database })]) {
    expect(text).toContain("[secret]");
    expect(text).not.toMatch(/canary|a-long/);
  }
  expect(`${database?.url}`).toBe("[secret]");
});

test("the environment overrides the file, whose secret is then not needed", () => {
  const config = files.config(`${minimal}listen: 1.2.3.4:1\nlog: { level: warn }\ndatabase: { url: { env: ABSENT } }`, {
    DATABASE_URL: "postgres://u:from-environment@h/d",
    REDIS_URL: "redis://r",
    PARAMEDIC_LISTEN: "[::1]:0",
    LOG_LEVEL: "DEBUG",
    DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/run/bus",
  });
  expect(config.database?.url.reveal()).toBe("postgres://u:from-environment@h/d");
  expect(config.redis?.url.reveal()).toBe("redis://r");
  expect(config.listen).toEqual({ host: "::1", port: 0 });
  expect(config.log.level).toBe("debug");
  expect(config.systemBusAddress).toBe("unix:path=/run/bus");
  expect(config.secrets).toContain("from-environment");
});

test.each([
  ["DATABASE_URL", ""],
  ["DATABASE_URL", "mysql://u:canary-password@h/d"],
  ["REDIS_URL", "localhost:6379"],
  ["PARAMEDIC_LISTEN", "9095"],
  ["LOG_LEVEL", "loud"],
])("%s=%s in the environment is a problem beside those of the file", (variable, value) => {
  const problems = files.problems(`${minimal}lisen: x`, { [variable]: value });
  expect(problems).toEqual([
    "2: lisen: is not a setting; remove or correct it",
    expect.stringMatching(`^env: ${variable}: `),
  ]);
  expect(problems.join()).not.toContain("canary");
});

test("every problem is told at once, with its line, in the order of the file", () => {
  const text = `
listen: localhost
api:
  tokens:
    - { name: cli, role: boss, secret: { env: ABSENT } }
    - { name: cli, role: admin, secret: literal-secret-here }
targets:
  one:
    labels: { service: [a, b] }
    postgres:
      url: { file: absent.txt }
      users: []
      databases: ['*']
  two:
    labels: { service: [b] }
    systemd: { units: [nginx, 'a*.service'] }
approvals: { expireAfter: 30 }
worker: { concurrency: 0 }
`;
  expect(files.problems(text)).toEqual([
    expect.stringMatching(/^2: listen: must be host:port/),
    expect.stringMatching(/^2: alertmanager.tokens: at least one is needed/),
    expect.stringMatching(/^5: api.tokens\[0\].role: must be one of viewer, operator, approver, admin/),
    expect.stringMatching(/^5: api.tokens\[0\].secret: the environment variable ABSENT is not set/),
    expect.stringMatching(/^6: api.tokens\[1\].secret: a secret is never written in the file/),
    expect.stringMatching(/^6: api.tokens\[1\].name: the name cli is given to two tokens/),
    expect.stringMatching(/^11: targets.one.postgres.url: the file absent.txt cannot be read \(ENOENT\)/),
    expect.stringMatching(/^12: targets.one.postgres.users: must not be empty/),
    expect.stringMatching(/^13: targets.one.postgres.databases\[0\]: must be an exact name/),
    expect.stringMatching(/^15: targets.two.labels.service\[0\]: service="b" selects one as well/),
    expect.stringMatching(/^16: targets.two.systemd.units\[0\]: must be the full name/),
    expect.stringMatching(/^16: targets.two.systemd.units\[1\]: must be the full name/),
    expect.stringMatching(/^17: approvals.expireAfter: must be a duration/),
    expect.stringMatching(/^18: worker.concurrency: must be a whole number from 1 to 1000/),
  ]);
});

test("a problem reads as file:line: message", () => {
  const loaded = files.load(`${minimal}x: 1`);
  const file = join(files.folder, "paramedic.yaml");
  expect("problems" in loaded && loaded.problems.map(formatProblem)).toEqual([
    `${file}:2: x: is not a setting; remove or correct it`,
  ]);
});

test("text that is no YAML is told with its line, and a name given twice is no YAML", () => {
  expect(files.problems(`${minimal}listen: [`)[0]).toMatch(/^2: not valid YAML: /);
  expect(files.problems(`${minimal}listen: a:1\nlisten: b:1`)[0]).toMatch(/^3: not valid YAML: .*unique/);
  expect(files.problems("- a list")).toEqual(expect.arrayContaining(["1: the file must be a map of settings"]));
});

test("a file that cannot be read is told", () => {
  const loaded = loadConfig({ file: join(files.folder, "absent.yaml"), env: {} });
  expect("problems" in loaded && loaded.problems.map(formatProblem)[0]).toMatch(/absent.yaml:1: .*ENOENT.*--config/);
});

test("without a file there is no token, and that is told without a line", () => {
  const loaded = loadConfig({ file: null, env: {} });
  expect("problems" in loaded && loaded.problems.map(formatProblem)).toEqual([
    expect.stringMatching(/^environment: alertmanager.tokens: at least one is needed/),
  ]);
});

test("a line is found through an alias", () => {
  const text = `${minimal}targets:\n  one:\n    http: &web\n      baseUrl: nowhere\n  two:\n    http: *web\n`;
  expect(files.problems(text)).toEqual([
    expect.stringMatching(/^5: targets.one.http.baseUrl/),
    expect.stringMatching(/^5: targets.two.http.baseUrl/),
  ]);
});
