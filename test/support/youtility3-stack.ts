/**
 * YOUTILITY3 and everything around it, as its on-call engineers know it: the project behind a real systemd, on a real
 * Postgres and Redis, watched by a real Prometheus and Alertmanager, and Paramedic on its host with the configuration
 * and the playbooks that ship. What takes minutes in production takes seconds here; nothing else differs.
 */

import { mkdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Redis } from "ioredis";
import { parse } from "yaml";
import type { RunView } from "../../src/api/run-view.ts";
import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { alertmanagerService } from "./alertmanager.ts";
import { type Answering, answering } from "./answering.ts";
import { type Callers, mailsTo, messagesAbout, pageKey, shownBy, slackUrl, startCallers, users } from "./callers.ts";
import { freePort } from "./free-port.ts";
import { type Databases, query, sharedPostgres } from "./postgres.ts";
import { prometheusService, startPrometheus } from "./prometheus.ts";
import type { RealService } from "./real-service.ts";
import { redisService, startRedis } from "./redis.ts";
import { temporaryFolder } from "./run-folder.ts";
import { letBeDue, runBySchedule } from "./schedules.ts";
import { killServices, type Service, type ServiceTarget, startService, tokens } from "./service.ts";
import type { SlackMessage } from "./slack-double-workspace.ts";
import { startStatusPageDouble } from "./status-page-double.ts";
import { startSystemd, systemdService, type TestSystemd } from "./systemd.ts";
import { sleep, until } from "./until.ts";
import { createYoutility3, djangoService, python, type Youtility3 } from "./youtility3.ts";
import { startYoutility3Alertmanager } from "./youtility3-alertmanager.ts";
import { alertsIn, endOf, historyOf, idsWhenCalm, isUp, type Posted, postAlert, runsOf } from "./youtility3-runs.ts";

const root = resolve(".");
const unit = "youtility3.service";
const proxy = "nginx.service";
const windowMinutes = "0.1";

/** For `describe`: everything that the stack is made of has to be there. */
export const stackServices: RealService =
  [djangoService, redisService, systemdService, prometheusService, alertmanagerService].find(
    ({ available }) => !available,
  ) ?? djangoService;

export interface StackOptions {
  /** The name of the playbook that Paramedic has. */
  readonly playbook: string;
  /** The names of others that it has; none where left out. */
  readonly others?: readonly string[];
  /** The server of the application's database; the one that all tests share where left out. */
  readonly postgres?: Databases;
  /** Changes the shipped target, once it has this stack's addresses. */
  // biome-ignore lint/suspicious/noExplicitAny: a section of every shape
  readonly adapt?: (target: any) => object;
  /** What else is replaced in the texts of the playbook and of the alert rules, so that it need not be waited for. */
  readonly hurry?: readonly (readonly [string, string])[];
  /** After so many starts within these seconds systemd leaves the unit `failed`; without a limit where left out. */
  readonly startLimit?: { readonly burst: number; readonly seconds: number };
  /** Variables of the unit. */
  readonly env?: Readonly<Record<string, string>>;
  /** Done with the project's folder before it is served. */
  readonly prepare?: (project: Youtility3) => Promise<void>;
  readonly roots?: number;
  readonly tickets?: number;
  /** What Prometheus has known since yesterday: values of the application's metrics. */
  readonly yesterday?: Readonly<Record<string, number>>;
}

export interface Stack {
  readonly yt3: Youtility3;
  readonly patient: Patient;
  /** The application's Redis. */
  readonly redis: Redis;
  readonly systemd: TestSystemd;
  readonly service: Service;
  readonly callers: Callers;
  readonly statusPage: Awaited<ReturnType<typeof startStatusPageDouble>>["double"];
  /** Ends the application's Redis for good. */
  stopRedis(): Promise<void>;
  /** Where the application, Prometheus and Alertmanager answer. */
  readonly addresses: { readonly application: string; readonly prometheus: string; readonly alertmanager: string };
  /** Statements as superuser in the application's database. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** The status of a page of the application, and its JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: pages of every shape
  get(path: string): Promise<{ readonly status: number; readonly body: any }>;
  /** Has people look at these pages, one after the other without end, until they are told to stop. */
  visit(paths: readonly string[], everyMs?: number): Visit;
  /** Waits until Prometheus has noticed and a run has begun that was not returned before; returns its id. */
  noticed(alertname: string): Promise<string>;
  /** Whether the application answers Prometheus, or does not. */
  answers(whether: boolean): Promise<boolean>;
  /** Waits until the application has measured no page for as long as it looks back. */
  quiet(): Promise<void>;
  /** Tells of an alert by the webhook, with the labels of its rule, where Prometheus itself cannot notice it. */
  posted(alertname: string): Promise<Posted>;
  /**
   * Tells of an alert whose trouble is over already, as Alertmanager does where it was slow, while people look at these
   * pages, and returns how its run ended.
   */
  late(alertname: string, pages?: readonly string[]): Promise<RunView>;
  /**
   * Makes a trouble while Paramedic is paused, waits until it has been noticed, ends the trouble by what `cause` returns,
   * waits until Prometheus sees nothing of it any more, and returns how the run ended once Paramedic goes on.
   */
  gone(alertname: string, cause: () => Promise<() => Promise<unknown>>): Promise<RunView>;
  /** Waits until no alert fires any more and no run goes on; those that there are by then are not `noticed` any more. */
  calm(): Promise<void>;
  /** Waits until a run, any one where left out, asks in Slack, and returns which run and what people read there. */
  asked: Answering["asked"];
  /** Clicks *Approve* in Slack, as each of these people in turn, and sees each counted. */
  approve(run: string, people?: readonly string[]): Promise<SlackMessage>;
  /** Clicks *Decline* in Slack, with a reason. */
  decline(run: string, user?: string): Promise<void>;
  /** Waits until a message about the run, in Slack, says something. */
  says(run: string, text: string): Promise<void>;
  /** Waits until somebody has a mail about the run that says something. */
  mailed(run: string, to: string, text: string): Promise<void>;
  /** As where it is away: whoever asks it gets no answer. */
  stopPrometheus(): Promise<unknown>;
  /** Starts the playbook, or one of the others, as an engineer does. */
  request(inputs: Readonly<Record<string, unknown>>, playbook?: string): Promise<string>;
  /** Lets the playbook's newest occurrence be due, as if no worker had been there for 40 days; returns its run's id. */
  scheduled(): Promise<string>;
  /** Lets it be due, where that starts none. */
  letBeDue(): Promise<void>;
  ended(run: string): Promise<RunView>;
  stop(): Promise<void>;
}

export interface Visit {
  /** How many pages were answered. */
  seen(): number;
  stop(): Promise<void>;
}

/** What a step of a run has returned. */
// biome-ignore lint/suspicious/noExplicitAny: results of every shape
export function resultOf(run: RunView, step: string): any {
  return run.steps.find(({ id }) => id === step)?.result;
}

/** Starts all of it; `stop` ends it, also where the start itself fails. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const undone: (() => unknown)[] = [];
  const stop = async () => {
    await killServices();
    for (const undo of undone.splice(0).reverse()) await undo();
  };
  try {
    return await start(options, stop, (undo) => void undone.push(undo));
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  options: StackOptions,
  stop: Stack["stop"],
  afterwards: (undo: () => unknown) => void,
): Promise<Stack> {
  const server = await sharedPostgres();
  const patients = options.postgres ?? server;
  const patient = await createPatient({ ...patients, url: await patients.newDatabase() });
  afterwards(() => patient.closeSessions());
  const carer = await patient.role("carer", `CREATEDB IN ROLE pg_read_all_stats, pg_signal_backend, ${patient.app}`);
  const sql: Stack["sql"] = (text, values = []) => query(patient.urlOf("postgres"), text, values);
  await sql(`ALTER DATABASE ${patient.database} OWNER TO ${patient.app}`);
  await sql("CREATE EXTENSION pg_stat_statements");
  const redisServer = await startRedis();
  afterwards(() => redisServer.stop());
  const redis = new Redis(redisServer.url);
  afterwards(() => redis.disconnect());

  const logs = await temporaryFolder("logs");
  const env = { METRICS_WINDOW_MINUTES: windowMinutes, YT3_LOG_FILE: join(logs, "error.log"), ...options.env };
  const { roots = 5, tickets = 100 } = options;
  const databaseUrl = patient.urlOf(patient.app);
  const yt3 = await createYoutility3({ databaseUrl, redisUrl: `${redisServer.url}/0`, env, roots, tickets });
  await options.prepare?.(yt3);
  const systemd = await startSystemd();
  afterwards(() => systemd.down());
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await systemd.install({ [unit]: unitOf(yt3, port, options), [proxy]: proxyUnit });
  await systemd.systemctl("start", "--no-block", unit, proxy);

  const callers = await startCallers();
  afterwards(() => callers.stop());
  const statusPage = await startStatusPageDouble();
  afterwards(() => statusPage.double.stop());
  const prometheusPort = await freePort();
  const target = {
    app: patient.app,
    database: patient.database,
    url,
    logs,
    project: yt3.folder,
    journal: systemd.journal,
    prometheus: `http://127.0.0.1:${prometheusPort}`,
  };
  const ownUrl = await server.newDatabase();
  const service = await startService({
    databaseUrl: ownUrl,
    host: "app-1",
    // Where it writes drop-ins is this systemd's and not the machine's.
    startedBy: ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', join(systemd.folder, "run")],
    playbooks: await Promise.all(
      [options.playbook, ...(options.others ?? [])].map((name) => playbookText(name, options)),
    ),
    targets: {},
    sections: await sections(callers, statusPage, target, options),
    env: {
      YT3_DATABASE_URL: patient.urlOf(carer),
      YT3_APP_DATABASE_URL: databaseUrl,
      YT3_REDIS_URL: `${redisServer.url}/0`,
      YT3_SECRET_KEY: "a-key-that-only-the-tests-know",
      SLACK_BOT_TOKEN: callers.slack.botToken,
      SLACK_SIGNING_SECRET: callers.slack.signingSecret,
      SMTP_URL: callers.mail.url,
      PD_PAGING_KEY: pageKey,
      PD_CHANGES_KEY: "canary-changes-key-0123456789abc",
      NODE_EXTRA_CA_CERTS: callers.pagerDuty.caFile,
      STATUSPAGE_TOKEN: statusPage.token.reveal(),
      DBUS_SYSTEM_BUS_ADDRESS: systemd.busAddress,
    },
  });
  callers.slack.sendTo(slackUrl(service));
  const alertmanager = await startYoutility3Alertmanager(service.webhookUrl, tokens.alertmanager);
  afterwards(() => alertmanager.stop());
  const scraped = `127.0.0.1:${port}`;
  const rules = await readFile(join(root, "examples/youtility3/alerts.yml"), "utf8");
  const ruleGroups: readonly RuleGroup[] = parse(hurried(rules, options)).groups.filter(
    ({ name }: RuleGroup) => name === "youtility3",
  );
  const prometheus = await startPrometheus({
    port: prometheusPort,
    scrape: [scraped],
    history: historyOf(options.yesterday ?? {}, scraped),
    job: "youtility3",
    metricsPath: "/monitoring/metrics/",
    ruleGroups,
    alertmanagers: [`127.0.0.1:${alertmanager.port}`],
  });
  afterwards(() => prometheus.stop());

  const get: Stack["get"] = async (path) => {
    const response = await fetch(url + path, { headers: { connection: "close" }, signal: AbortSignal.timeout(30_000) });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  };
  const visit: Stack["visit"] = (paths, everyMs = 20) => {
    const visiting = visitor(get, paths, everyMs);
    afterwards(visiting.stop);
    return visiting;
  };
  const people = answering(service, callers);
  const known = new Set<string>();
  const noticed: Stack["noticed"] = async (alertname) => {
    const { id } = await until(async () => (await runsOf(service, alertname)).find((run) => !known.has(run.id)), {
      timeoutMs: 60_000,
      everyMs: 200,
      what: () => `a run for ${alertname} (${service.child.output().slice(-2_000)})`,
    });
    known.add(id);
    return id;
  };
  const answers: Stack["answers"] = async (whether) => (await isUp(prometheus.url)) === whether;
  const posted: Stack["posted"] = async (alertname) => {
    const rule = ruleGroups.flatMap(({ rules }) => rules).find(({ alert }) => alert === alertname);
    if (!rule) throw new Error(`No rule raises ${alertname}`);
    const alert = await postAlert(service, { alertname, ...rule.labels });
    known.add(alert.run);
    return alert;
  };
  return {
    yt3,
    patient,
    redis,
    systemd,
    service,
    callers,
    statusPage: statusPage.double,
    addresses: { application: url, prometheus: prometheus.url, alertmanager: alertmanager.url },
    stopRedis: async () => {
      redis.disconnect();
      await redisServer.stop();
    },
    sql,
    get,
    visit,
    noticed,
    posted,
    answers,
    quiet: async () => {
      const requests = async () => (await get("/monitoring/dashboard/")).body.requests;
      await until(async () => (await requests()) === 0 && (await answers(true)), {
        timeoutMs: 60_000,
        what: "no page to be looked at",
      });
    },
    late: async (alertname, pages = []) => {
      const visiting = pages.length > 0 ? visit(pages) : null;
      if (visiting) await until(() => visiting.seen() > 30, { timeoutMs: 30_000, what: "people to look at pages" });
      await until(() => answers(true), { timeoutMs: 30_000, what: "Prometheus to have an answer" });
      const { run, resolve } = await posted(alertname);
      const ended = await endOf(service, run);
      await resolve();
      await visiting?.stop();
      return ended;
    },
    gone: async (alertname, cause) => {
      await service.pause(true);
      const end = await cause();
      const run = await noticed(alertname);
      await end();
      await until(async () => !(await alertsIn(prometheus.url)).includes(alertname), {
        timeoutMs: 60_000,
        everyMs: 100,
        what: `${alertname} to be over`,
      });
      await service.pause(false);
      return await endOf(service, run);
    },
    calm: async () => {
      const ids = await until(() => idsWhenCalm(service, prometheus.url), {
        timeoutMs: 90_000,
        everyMs: 200,
        what: () => `no alert to fire and no run to go on (${service.child.output().slice(-2_000)})`,
      });
      for (const id of ids) known.add(id);
    },
    asked: people.asked,
    approve: (run, users = ["U0LEAD"]) => people.approve(run, users),
    decline: (run, user = "U0LEAD") => people.decline(run, user),
    says: async (run, text) => {
      const said = () => messagesAbout(callers, run).map(shownBy).join("\n\n");
      await until(() => said().includes(text), { timeoutMs: 30_000, what: () => `Slack to say '${text}': ${said()}` });
    },
    mailed: async (run, to, text) => {
      const mails = () => mailsTo(callers, to).filter((mail) => mail.includes(run));
      await until(() => mails().some((mail) => mail.includes(text)), {
        timeoutMs: 30_000,
        what: () => `a mail to ${to} that says '${text}': ${mails().join("\n\n")}`,
      });
    },
    stopPrometheus: () => prometheus.stop(),
    request: async (inputs, playbook = options.playbook) => {
      const body = { playbook, target: "youtility3", inputs, reason: "a test" };
      const { status, body: made } = await service.api("POST", "/api/v1/runs", body, tokens.operator);
      if (status !== 201) throw new Error(`The request was answered with ${status}: ${JSON.stringify(made)}`);
      return made.id;
    },
    scheduled: () => runBySchedule(service, ownUrl),
    letBeDue: () => letBeDue(ownUrl),
    ended: (run) => endOf(service, run),
    stop,
  };
}

function unitOf(yt3: Youtility3, port: number, { startLimit }: StackOptions): string {
  const variables = { PYTHONDONTWRITEBYTECODE: "1", LANG: "C.UTF-8", ...yt3.env };
  return [
    "[Unit]",
    `StartLimitIntervalSec=${startLimit?.seconds ?? 0}`,
    ...(startLimit ? [`StartLimitBurst=${startLimit.burst}`] : []),
    "[Service]",
    `WorkingDirectory=${yt3.folder}`,
    ...Object.entries(variables).map(([name, value]) => `Environment="${name}=${value}"`),
    `ExecStart=${python} manage.py runserver --noreload 127.0.0.1:${port}`,
    "Restart=on-failure",
    "RestartSec=1",
    "",
  ].join("\n");
}

/** In the place of the proxy: what counts is that it is started again. */
const proxyUnit = "[Service]\nExecStart=/bin/sleep infinity\n";

interface RuleGroup {
  readonly name: string;
  readonly rules: readonly { readonly alert: string; readonly labels: Readonly<Record<string, string>> }[];
}

interface Place {
  readonly app: string;
  readonly database: string;
  readonly url: string;
  readonly logs: string;
  readonly project: string;
  readonly journal: string;
  readonly prometheus: string;
}

/** The shipped configuration, with the addresses of this stack. */
async function sections(
  callers: Callers,
  statusPage: Awaited<ReturnType<typeof startStatusPageDouble>>,
  place: Place,
  { adapt = (target) => target }: StackOptions,
): Promise<Record<string, unknown>> {
  const shipped = parse(await readFile(join(root, "examples/youtility3/paramedic.yaml"), "utf8"));
  const { targets, escalation, contacts, announcements, slack, email, pagerduty, approvals } = shipped;
  const { youtility3: target } = targets;
  const backups = await temporaryFolder("backups");
  await mkdir(place.logs, { recursive: true });
  const adapted = {
    ...target,
    postgres: {
      ...target.postgres,
      users: [place.app],
      databases: [place.database],
      backupFolder: backups,
      minFreeMiB: 0,
    },
    systemd: { ...target.systemd, settle: "4s", journal: place.journal },
    django: {
      ...target.django,
      project: place.project,
      python,
      env: { ...target.django.env, METRICS_WINDOW_MINUTES: windowMinutes },
    },
    http: { ...target.http, baseUrl: place.url },
    logs: { ...target.logs, files: [join(place.logs, "*.log")] },
    files: { folders: [place.logs, backups] },
    deploy: {
      checkout: place.project,
      tags: target.deploy.tags,
      clearCaches: target.deploy.clearCaches,
      restart: target.deploy.restart,
    },
  } satisfies Record<string, unknown> & Omit<ServiceTarget, "postgres">;
  return {
    targets: { youtility3: adapt(adapted) },
    escalation,
    contacts,
    announcements: { ...announcements, leadTime: "1s" },
    approvals,
    slack: { ...slack, apiUrl: callers.slack.apiUrl, users, groups: {} },
    email,
    pagerduty: { ...pagerduty, server: callers.pagerDuty.server },
    prometheus: { url: place.prometheus },
    statusPage: { ...shipped.statusPage, url: statusPage.double.url, pageId: statusPage.pageId },
  };
}

async function playbookText(name: string, options: StackOptions): Promise<string> {
  return hurried(await readFile(join(root, "playbooks", `${name}.yaml`), "utf8"), options);
}

/** Seconds in place of minutes, and as many runs as there are tests. */
function hurried(text: string, { hurry = [] }: StackOptions): string {
  const shortened = text
    .replaceAll(/\bwithin: \d+m\b/g, "within: 30s")
    .replaceAll(/\bfor: \d+m\b/g, "for: 1s")
    .replaceAll("windowSeconds: 10", "windowSeconds: 2")
    // The occurrences of a test are days old.
    .replaceAll("missed: skip", "missed: run")
    .replaceAll(/^(cooldown|budget): .*\n/gm, "");
  return hurry.reduce((now, [from, to]) => now.replaceAll(from, to), shortened);
}

function visitor(get: Stack["get"], paths: readonly string[], everyMs: number): Visit {
  let over = false;
  let seen = 0;
  const visiting = (async () => {
    for (let asked = 0; !over; asked += 1) {
      await get(paths[asked % paths.length] as string).then(
        () => {
          seen += 1;
        },
        () => {},
      );
      await sleep(everyMs);
    }
  })();
  return {
    seen: () => seen,
    stop: async () => {
      over = true;
      await visiting;
    },
  };
}
