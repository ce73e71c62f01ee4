import { type ConfigFolder, createConfigFolder, minimal } from "../support/config-file.ts";

let files: ConfigFolder;

beforeAll(() => {
  files = createConfigFolder();
});

afterAll(() => files.remove());

const env = {
  DB: "postgres://u:p4ssphrase@h/d",
  CACHE: "redis://h",
  KEY: "some-credential",
  PING: "https://hc.example.net/canary-5f1c0de8?rid=1",
};

test.each([
  ["127.0.0.1:9095", "127.0.0.1", 9095],
  ["0.0.0.0:80", "0.0.0.0", 80],
  ["localhost:0", "localhost", 0],
  ["'[::1]:9095'", "::1", 9095],
  ["'[::]:65535'", "::", 65_535],
])("listen: %s is host %s and port %d", (text, host, port) => {
  expect(files.config(`${minimal}listen: ${text}`).listen).toEqual({ host, port });
});

test.each([
  "':9095'",
  "9095",
  "localhost",
  "'::1:9095'",
  "'[::1]'",
  "127.0.0.1:65536",
  "'[zz]:1'",
  "'a b:1'",
  "'[1.2]:1'",
])("listen: %s is refused", (text) => {
  expect(files.problems(`${minimal}listen: ${text}`)).toEqual([expect.stringMatching(/^2: listen: must be/)]);
});

test.each([
  ["publicUrl: ftp://x", "publicUrl: must be an address that starts with http"],
  ["publicUrl: http://user:canary@x", "publicUrl: must not contain a user or password"],
  ["prometheus: { url: 'http://x/?a=b' }", "prometheus.url: must not contain a query"],
  ["prometheus: {}", "prometheus.url: "],
  ["stateDir: ''", "stateDir: must not be empty"],
  ["targets: { 'a b': {} }", "targets.a b: must be a name"],
  ["targets: { __proto__: {} }", "targets.__proto__: cannot be used as a name"],
  ["targets: { a: { labels: { __proto__: [x] } } }", "targets.a.labels.__proto__: cannot be used as a name"],
  ["targets: { a: { host: 'x y' } }", "targets.a.host: must be a host name"],
  ["targets: { a: { labels: { service: [] } } }", "targets.a.labels.service: must not be empty"],
  ["targets: { a: { labels: { service: [''] } } }", "targets.a.labels.service[0]: must not be empty"],
  ["targets: { a: { labels: { service: x } } }", "targets.a.labels.service: must be a list"],
  ["targets: { a: { postgres: { url: { env: DB }, users: [''], databases: [d] } } }", "users[0]: must not be empty"],
  ["targets: { a: { postgres: { url: { env: DB }, users: [u, u], databases: [d] } } }", "users: must not name"],
  [
    "targets: { a: { postgres: { url: { env: DB }, users: ['*'], databases: [d] } } }",
    "users[0]: must be an exact name",
  ],
  ["targets: { a: { postgres: { url: { env: DB }, databases: [d] } } }", "postgres.users: must be a list"],
  [
    "targets: { a: { postgres: { url: { env: CACHE }, users: [u], databases: [d] } } }",
    "must be a URL that starts with postgres://",
  ],
  [
    "targets: { a: { redis: { url: { env: CACHE }, keyPatterns: ['*'] } } }",
    "keyPatterns[0]: must contain some literal",
  ],
  ["targets: { a: { redis: { url: { env: CACHE }, keyPatterns: ['?*[a-z]'] } } }", "keyPatterns[0]: must contain some"],
  ["targets: { a: { redis: { url: { env: CACHE }, keyPatterns: [''] } } }", "keyPatterns[0]: must not be empty"],
  ["targets: { a: { systemd: { units: [] } } }", "systemd.units: must not be empty"],
  ["targets: { a: { systemd: { units: ['-H.service'] } } }", "units[0]: must be the full name"],
  ["targets: { a: { systemd: { units: ['a.service b.service'] } } }", "units[0]: must be the full name"],
  ["targets: { a: { systemd: { units: ['../x.service'] } } }", "units[0]: must be the full name"],
  ["targets: { a: { systemd: { units: [x.service], settle: 0s } } }", "settle: must be at least 1s"],
  ["targets: { a: { systemd: { units: [x.service], journal: log } } }", "journal: must be an absolute path"],
  ["targets: { a: { systemd: { units: [x.service], environment: { y.service: [A] } } } }", "must be a service that"],
  ["targets: { a: { systemd: { units: [x.timer], environment: { x.timer: [A] } } } }", "must be a service that"],
  ["targets: { a: { systemd: { units: [x.service], environment: { x.service: [] } } } }", "must not be empty"],
  ["targets: { a: { systemd: { units: [x.service], environment: { x.service: [A-B] } } } }", "must be the name of one"],
  ["targets: { a: { systemd: { units: [x.service], environment: { x.service: [LD_PRELOAD] } } } }", "code is loaded"],
  ["targets: { a: { http: { baseUrl: 'http://a', healthPath: '../x' } } }", "healthPath: must be a plain path"],
  ["targets: { a: { django: { project: srv, python: /p, settings: s } } }", "django.project: must be an absolute path"],
  [
    "targets: { a: { django: { project: /a/../b, python: /p, settings: s } } }",
    "django.project: must be an absolute path",
  ],
  ["targets: { a: { django: { project: /a, python: /p, settings: 's; id' } } }", "django.settings: must be a Python"],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, env: { DB_PASSWORD: canary-text } } } }",
    "env.DB_PASSWORD: a secret is never written",
  ],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, env: { A: { env: NOT_SET } } } } }",
    "env.A: the environment variable NOT_SET is not set",
  ],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, env: { 'A=B': x } } } }",
    "must be the name of an environment",
  ],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, warmUp: ['os.system(1)'] } } }",
    "warmUp[0]: must be the dotted name",
  ],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, warmUp: [a.__class__.b] } } }",
    "warmUp[0]: must be the dotted name",
  ],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, reports: [dumpdata] } } }",
    "reports[0]: must be the dotted name",
  ],
  [
    "targets: { a: { django: { project: /a, python: /p, settings: s, metrics: { cleanUp: '--all' } } } }",
    "metrics.cleanUp: must be the dotted name",
  ],
  ["targets: { a: { http: { baseUrl: 'file:///etc' } } }", "http.baseUrl: must be an address"],
  [
    "targets: { a: { http: { baseUrl: 'http://169.254.169.254' } } }",
    "http.baseUrl: 169.254.169.254 is an address to which",
  ],
  [
    "targets: { a: { http: { baseUrl: 'http://169.254.169.254', network: link-local } } }",
    "http.baseUrl: 169.254.169.254 is an address to which",
  ],
  [
    "targets: { a: { http: { baseUrl: 'http://[fe80::1]' } } }",
    "http.baseUrl: [fe80::1] is a link-local address: write",
  ],
  [
    "targets: { a: { http: { baseUrl: 'http://10.0.0.1', network: public } } }",
    "http.baseUrl: 10.0.0.1 is a private address: write network: private",
  ],
  [
    "targets: { a: { logs: { files: [/var/log/*/x.log] } } }",
    "logs.files[0]: must be an absolute path with wildcards in",
  ],
  [
    "targets: { a: { logs: { files: ['/var/log/shop/*'] } } }",
    "logs.files[0]: must be an absolute path with wildcards",
  ],
  ["targets: { a: { logs: { files: ['/var/log/../x.log'] } } }", "logs.files[0]: must be an absolute path"],
  ["targets: { a: { logs: { files: [] } } }", "logs.files: must not be empty"],
  ["targets: { a: { logs: { files: [/l/x.log], timeZone: Mars } } }", "logs.timeZone: must be a time zone"],
  ["targets: { a: { files: { folders: [/] } } }", "files.folders[0]: must be a plain path other than /"],
  ["targets: { a: { files: { folders: [/etc/nginx] } } }", "files.folders[0]: must not be / or a folder of the system"],
  ["targets: { a: { files: { folders: [/var] } } }", "files.folders[0]: must not be / or a folder of the system"],
  ["targets: { a: { files: { folders: [] } } }", "files.folders: must not be empty"],
  ["targets: { a: { files: { folders: [''] } } }", "files.folders[0]: must not be empty"],
  ["targets: { a: { deploy: { checkout: /srv/a, tags: '' } } }", "deploy.tags: must not be empty"],
  ["targets: { a: { deploy: { checkout: /srv/a, tags: '--all' } } }", "deploy.tags: must be a pattern of tags"],
  [
    "targets: { a: { deploy: { checkout: /srv/a, tags: v*, dependencies: [pip] } } }",
    "must begin with the absolute path",
  ],
  [
    "targets: { a: { deploy: { checkout: /srv/a, tags: v*, restart: [a.service] } } }",
    "deploy.restart[0]: must be one of",
  ],
  [
    "targets: { a: { deploy: { checkout: /srv/a, tags: v*, clearCaches: [default] } } }",
    "deploy.clearCaches: needs the",
  ],
  ["targets: { a: { http: { baseUrl: 'http://a', network: any } } }", "http.network: must be public, private or"],
  ["targets: { a: { http: { baseUrl: 'http://a', post: [] } } }", "http.post: must not be empty"],
  ["targets: { a: { http: { baseUrl: 'http://a', post: [/x, /x] } } }", "http.post: must not name a path twice"],
  ["targets: { a: { http: { baseUrl: 'http://a', post: ['../x'] } } }", "http.post[0]: must be a path such as"],
  ["targets: { a: { http: { baseUrl: 'http://a', post: [{ path: /x, status: '/y?z' }] } } }", "http.post[0]"],
  ["targets: { a: { mysql: {} } }", "targets.a.mysql: is not a setting"],
  ["escalation: { a: [] }", "escalation.a: must have at least one level"],
  ["escalation: { a: [{ after: 1m }] }", "escalation.a[0]: tells nobody"],
  ["escalation: { a: [{ after: soon, slack: '#x' }] }", "escalation.a[0].after: must be a duration"],
  ["escalation: { a: [{ after: 1m, slack: '#x' }, { after: 1m, slack: '#y' }] }", "must come later"],
  ["escalation: { a: [{ after: 1m, email: [nobody] }] }", "email[0]: must be an e-mail address"],
  ["approvals: { atLeast: 0 }", "approvals.atLeast: must be a whole number from 1 to 20"],
  ["approvals: { expireAfter: 0s }", "approvals.expireAfter: must be at least 1s"],
  ["worker: { lease: 0s }", "worker.lease: must be at least 1s"],
  ["worker: { concurrency: many }", "worker.concurrency: must be a whole number"],
  ["slack: { botToken: { env: KEY }, channel: '#x' }", "slack: needs either signingSecret"],
  [
    "slack: { botToken: { env: KEY }, appToken: { env: KEY }, signingSecret: { env: KEY }, channel: '#x' }",
    "slack: needs either",
  ],
  [
    "slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: '#x', users: { U1: root } }",
    "users.U1: must be one of",
  ],
  [
    "slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: '#x', users: { '@bob': approver } }",
    "users.@bob: must be the id of a Slack user",
  ],
  [
    "slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: '#x', groups: { U024BE7LH: approver } }",
    "groups.U024BE7LH: must be the id of a Slack user group",
  ],
  ["slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: ops }", "slack.channel: must be a channel"],
  [
    "slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: '#Ops Room' }",
    "slack.channel: must be a channel",
  ],
  ["slack: { botToken: { env: KEY }, appToken: { env: KEY }, channel: null }", "in quotes, since # begins a comment"],
  ["approvals: { escalateAfter: 0s }", "approvals.escalateAfter: must be at least 1s"],
  ["announcements: { leadTime: 0s }", "announcements.leadTime: must be at least 1s"],
  ["announcements: { slack: 'ops' }", "announcements.slack: must be a channel"],
  ["announcements: { email: a@b }", "announcements.email: is not a setting"],
  ["contacts: { a: {} }", "contacts.a: tells nobody"],
  ["contacts: { a: { email: a@b } }", "contacts.a.email: must be a list"],
  ["contacts: { a: { email: ['a@b, c@d'] } }", "email[0]: must be an e-mail address"],
  ["contacts: { a: { pagerduty: a-literal-key } }", "contacts.a.pagerduty: a secret is never written in the file"],
  ["contacts: { 'a b': { slack: '#x' } }", "contacts.a b: must be a name"],
  ["contacts: { __proto__: { slack: '#x' } }", "contacts.__proto__: cannot be used as a name"],
  ["approvers: { a: {} }", "approvers.a: names nobody"],
  ["approvers: { a: { users: [] } }", "approvers.a.users: must not be empty"],
  ["targets: { a: { approvals: {} } }", "targets.a.approvals: asks for nothing"],
  ["targets: { a: { approvals: { atLeast: 0 } } }", "approvals.atLeast: must be a whole number from 1 to 20"],
  ["targets: { a: { approvals: { by: dba } } }", "there is no set of approvers 'dba'; the section approvers has none"],
  [
    "pagerduty: { routingKey: { env: KEY }, server: 'http://events.pagerduty.com' }",
    "pagerduty.server: must not be http://",
  ],
  ["pagerduty: { routingKey: { env: KEY }, server: 'events/v2' }", "pagerduty.server: must be a host"],
  ["pagerduty: { routingKey: { env: KEY }, server: 'events:99999' }", "pagerduty.server: must be a host"],
  [
    "pagerduty: { routingKey: { env: KEY }, severities: { Page: critical } }",
    "severities.Page: must be in small letters",
  ],
  ["pagerduty: { routingKey: { env: KEY }, severities: { page: fatal } }", "severities.page: must be one of critical"],
  ["email: { smtp: { env: DB }, from: a@b }", "email.smtp: the value of the environment variable DB must be a URL"],
  ["heartbeat: { every: 1m }", "heartbeat.url: is missing: give { env: NAME } or { file: PATH }"],
  ["heartbeat: { url: 'https://hc.example.net/canary' }", "heartbeat.url: a secret is never written in the file"],
  ["heartbeat: { url: { env: DB } }", "heartbeat.url: the value of the environment variable DB must be a URL"],
  ["heartbeat: { url: { env: PING }, every: 0s }", "heartbeat.every: must be at least 1s"],
  ["heartbeat: { url: { env: PING }, method: POST }", "heartbeat"],
  ["statusPage: { kind: other, url: 'http://x' }", "statusPage.kind: kind must be statuspage or webhook"],
  ["statusPage: { kind: statuspage, url: 'http://x', token: { env: KEY } }", "statusPage.pageId: "],
])("%s is refused", (text, problem) => {
  const problems = files.problems(`${minimal}${text}`, env);
  expect(problems).toEqual([expect.stringContaining(problem)]);
  expect(problems[0]).toMatch(/^2: /);
  expect(problems.join()).not.toContain("canary");
});

test.each(["8mb", "0", "-1", "1.5", ".inf", "100", "1000000000", "null"])(
  "a body limit of %s is no limit and stops the start",
  (limit) => {
    expect(files.problems(`${minimal}limits: { webhookBodyBytes: ${limit} }`)).toEqual([
      expect.stringMatching(/^2: limits.webhookBodyBytes: must be a whole number/),
    ]);
  },
);

test("a target may be empty, and one label value may select it by several labels", () => {
  const { targets } = files.config(`${minimal}targets: { a: {}, b: { labels: { service: [x], job: [x] } } }`);
  expect(targets.map(({ name }) => name)).toEqual(["a", "b"]);
  expect(Object.keys(targets[1]?.labels ?? {})).toEqual(["service", "job"]);
});

test("the folders may be elsewhere, relative to the file or not", () => {
  const config = files.config(`${minimal}playbooks: ../shared\nstateDir: /var/lib/paramedic\npauseFile: stop`);
  expect(config.playbooks).not.toContain("..");
  expect(config.pauseFile).toBe(`${files.folder}/stop`);
  expect(files.config(`${minimal}stateDir: /var/lib/paramedic`).pauseFile).toBe("/var/lib/paramedic/paused");
});

test("a status page may be any webhook, and PagerDuty another server", () => {
  const config = files.config(
    `${minimal}statusPage: { kind: webhook, url: 'http://x/hook' }\npagerduty: { routingKey: { env: KEY }, server: 'https://127.0.0.1:8080' }`,
    env,
  );
  expect(config.statusPage).toEqual({ kind: "webhook", url: "http://x/hook", token: null });
  expect(config.pagerduty?.server).toBe("https://127.0.0.1:8080");
});

test("the whole address of the heartbeat is secret, and its path alone too", () => {
  const config = files.config(`${minimal}heartbeat: { url: { env: PING } }`, env);
  expect(config.heartbeat?.url.reveal()).toBe(env.PING);
  expect(config.heartbeat?.everyMs).toBe(60_000);
  expect(config.secrets).toEqual(expect.arrayContaining([env.PING, "/canary-5f1c0de8?rid=1"]));
  expect(`${config.heartbeat?.url}`).toBe("[secret]");
  expect(files.config(`${minimal}heartbeat: { url: { env: PING }, every: 5m }`, env).heartbeat?.everyMs).toBe(300_000);
});
