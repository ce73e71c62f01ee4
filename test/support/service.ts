/** Starts the compiled service as a process of its own with a generated configuration, and talks to it as its users do. */

import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RunView } from "../../src/api/run-view.ts";
import { builtProgram } from "./built.ts";
import { freePort } from "./free-port.ts";
import { type Child, type Exit, livingChildren, startChild, startNode } from "./process.ts";
import { temporaryFolder } from "./run-folder.ts";
import { until } from "./until.ts";

/** The bearer tokens of every test's service, by who has them. */
export const tokens = {
  alertmanager: "f4ults-alertmanager-7d1c",
  operator: "f4ults-operator-91ab",
  approver: "f4ults-approver-55e0",
};

export interface ServiceTarget {
  readonly host?: string;
  readonly labels: Readonly<Record<string, readonly string[]>>;
  readonly postgres: { readonly url: string; readonly users: readonly string[]; readonly databases: readonly string[] };
  /** What approvals must be here. */
  readonly approvals?: { readonly by?: string; readonly atLeast?: number };
}

export interface ServiceOptions {
  /** Left out: the embedded Postgres, in the service's own folder. */
  readonly databaseUrl?: string;
  /** Left out: the queue is on the same Postgres. */
  readonly redisUrl?: string;
  readonly targets: Readonly<Record<string, ServiceTarget>>;
  /** The texts of the playbooks. */
  readonly playbooks: readonly string[];
  readonly worker?: {
    readonly lease?: string;
    readonly drain?: string;
    readonly reconcileEvery?: string;
    readonly concurrency?: number;
    readonly hostWait?: string;
  };
  readonly role?: "all" | "receiver" | "worker";
  /** The host whose steps it serves too; left out: none. */
  readonly host?: string;
  /** `counting`: the same service with the actions of crash-at.mjs. */
  readonly program?: "paramedic" | "counting";
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
  /** A program and its arguments that become the service, as `unshare` does; left out: it is started as it is. */
  readonly startedBy?: readonly string[];
  /** Sections of the configuration beside, or in place of, the usual ones. */
  readonly sections?: Readonly<Record<string, unknown>>;
}

/** An alert of a notification; whatever is left out is as Alertmanager would send it. */
export interface SentAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly status?: "firing" | "resolved";
  readonly fingerprint?: string;
  readonly startsAt?: string;
  readonly endsAt?: string;
}

export interface HttpAnswer {
  readonly status: number;
  /** How long the answer took, in milliseconds. */
  readonly ms: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
}

export interface Service {
  readonly url: string;
  readonly webhookUrl: string;
  readonly folder: string;
  /** The file that pauses this process while it exists. */
  readonly pauseFile: string;
  /** The present process. */
  readonly child: Child;
  /** Waits until store and queue answer. */
  ready(): Promise<void>;
  /** Posts one notification. */
  notify(alerts: readonly SentAlert[], over?: object): Promise<HttpAnswer>;
  /** Posts one firing alert and returns the id of its run. */
  fire(labels: Readonly<Record<string, string>>): Promise<string>;
  api(method: string, path: string, body?: object, token?: string): Promise<HttpAnswer>;
  run(id: string): Promise<RunView>;
  /** The run as it ends. */
  ended(id: string, timeoutMs?: number): Promise<RunView>;
  pause(paused: boolean): Promise<void>;
  /** SIGTERM. */
  stop(): Promise<Exit>;
  kill(): Promise<Exit>;
  /** Resolves with what ended the process, which must end by itself. */
  died(timeoutMs?: number): Promise<Exit>;
  /** Starts it again in the same folder on the same port, after `stop` or `kill`. */
  start(env?: Readonly<Record<string, string>>): Promise<void>;
}

/** Starts it and waits until it serves. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const dist = await builtProgram();
  const folder = options.folder ?? (await temporaryFolder("service"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(folder, "paramedic.yaml");
  const secrets = await writeConfiguration(options, folder, port);
  const role = options.role ?? "all";
  const host = options.host === undefined ? [] : [options.host];

  async function launch(env: Readonly<Record<string, string>> = {}): Promise<Child> {
    const environment = {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      ...secrets,
      ...(options.databaseUrl && { DATABASE_URL: options.databaseUrl }),
      ...(options.redisUrl && { REDIS_URL: options.redisUrl }),
      ...options.env,
      ...env,
    };
    const spawned = { env: environment, cwd: folder };
    return options.program === "counting"
      ? await startNode(resolve("test/support/crash-at.mjs"), [file, role, ...host], spawned)
      : await startedBy(
          options.startedBy ?? [],
          join(dist, "cli.js"),
          ["serve", "--config", file, "--role", role, ...host.flatMap((name) => ["--host", name])],
          spawned,
        );
  }

  let child = await launch();
  await child.waitForOutput("Paramedic is up", 60_000);
  const api: Service["api"] = (method, path, body, token = tokens.approver) => send(url, method, path, token, body);
  const notify: Service["notify"] = (alerts, over = {}) =>
    send(url, "POST", "/webhooks/alertmanager", tokens.alertmanager, { ...notificationOf(alerts), ...over });
  const run: Service["run"] = async (id) => {
    const { status, body } = await api("GET", `/api/v1/runs/${id}`);
    if (status !== 200) throw new Error(`The run ${id} was answered with ${status}: ${JSON.stringify(body)}`);
    return body;
  };
  return {
    url,
    webhookUrl: `${url}/webhooks/alertmanager`,
    folder,
    pauseFile: join(folder, "var", "paused"),
    get child() {
      return child;
    },
    ready: async () => {
      await until(async () => (await api("GET", "/readyz")).body?.queue === "ok", { what: "the queue to answer" });
    },
    notify,
    fire: async (labels) => {
      const { status, body } = await notify([{ labels }]);
      const id = body?.runs?.[0]?.id;
      if (!id) throw new Error(`No run was started: ${status} ${JSON.stringify(body)}`);
      return id;
    },
    api,
    run,
    ended: (id, timeoutMs = 20_000) =>
      until(
        async () => {
          const now = await run(id);
          return now.state === "ended" ? now : null;
        },
        { timeoutMs, everyMs: 50, what: () => `run ${id} to end (${child.output().slice(-4_000)})` },
      ),
    pause: async (paused) => {
      const { status, body } = await api("PUT", "/api/v1/switch", { paused, reason: "a test" });
      if (status !== 200) throw new Error(`The switch was answered with ${status}: ${JSON.stringify(body)}`);
    },
    stop: () => child.stop("SIGTERM", 40_000),
    kill: () => child.kill(),
    died: async (timeoutMs = 20_000) => {
      let exit: Exit | undefined;
      child.exited.then((ended) => {
        exit = ended;
      });
      return await until(() => exit, { timeoutMs, what: () => `the service to end (${child.output().slice(-4_000)})` });
    },
    start: async (env) => {
      await child.exited;
      child = await launch(env);
      await child.waitForOutput("Paramedic is up", 60_000);
    },
  };
}

async function startedBy(
  [command, ...before]: readonly string[],
  script: string,
  args: readonly string[],
  spawned: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): Promise<Child> {
  if (command === undefined) return await startNode(script, args, spawned);
  return await startChild(command, [...before, process.execPath, script, ...args], {
    name: `node ${script}`,
    ...spawned,
  });
}

/** Kills what a failed test has left running, so that its own failure is what is reported. */
export async function killServices(): Promise<void> {
  await Promise.all(livingChildren().flatMap((child) => (child.name.startsWith("node ") ? [child.kill()] : [])));
}

/** Writes paramedic.yaml and the playbooks; returns the environment in which its secrets are. */
async function writeConfiguration(
  options: ServiceOptions,
  folder: string,
  port: number,
): Promise<Record<string, string>> {
  const playbooks = join(folder, "playbooks");
  await mkdir(playbooks, { recursive: true });
  await mkdir(join(folder, "var"), { recursive: true });
  for (const [index, text] of options.playbooks.entries()) await writeFile(join(playbooks, `${index}.yaml`), text);
  const secrets: Record<string, string> = {
    ALERTMANAGER_TOKEN: tokens.alertmanager,
    OPERATOR_TOKEN: tokens.operator,
    APPROVER_TOKEN: tokens.approver,
  };
  const targets: Record<string, object> = {};
  const names = new Map<string, string>();
  for (const [name, { labels, postgres, host, approvals }] of Object.entries(options.targets)) {
    const variable = names.get(postgres.url) ?? `TARGET_URL_${names.size}`;
    names.set(postgres.url, variable);
    secrets[variable] = postgres.url;
    targets[name] = {
      ...(host && { host }),
      ...(approvals && { approvals }),
      labels,
      postgres: { ...postgres, url: { env: variable } },
    };
  }
  const configuration = {
    listen: `127.0.0.1:${port}`,
    log: { level: "info" },
    alertmanager: { tokens: [{ env: "ALERTMANAGER_TOKEN" }] },
    api: {
      tokens: [
        { name: "operator", role: "operator", secret: { env: "OPERATOR_TOKEN" } },
        { name: "approver", role: "approver", secret: { env: "APPROVER_TOKEN" } },
      ],
    },
    playbooks: "playbooks/",
    targets,
    escalation: { database: [{ after: "0s", email: ["oncall@example.net"] }] },
    // Those that the shipped playbooks name.
    contacts: Object.fromEntries(
      ["monitoring", "paging", "dba"].map((name) => [name, { email: [`${name}@example.net`] }]),
    ),
    worker: { lease: "2s", drain: "5s", reconcileEvery: "1s", ...options.worker },
    ...options.sections,
  };
  // JSON is YAML.
  await writeFile(join(folder, "paramedic.yaml"), JSON.stringify(configuration, null, 1));
  return secrets;
}

let sent = 0;

function notificationOf(alerts: readonly SentAlert[]): object {
  const now = new Date().toISOString();
  return {
    version: "4",
    groupKey: '{}:{alertname="Test"}',
    truncatedAlerts: 0,
    status: "firing",
    receiver: "paramedic",
    groupLabels: {},
    commonLabels: {},
    commonAnnotations: {},
    externalURL: "http://127.0.0.1:9093",
    alerts: alerts.map(({ labels, status = "firing", fingerprint, startsAt = now, endsAt }) => {
      sent += 1;
      return {
        status,
        labels,
        annotations: {},
        startsAt,
        endsAt: endsAt ?? (status === "firing" ? "0001-01-01T00:00:00Z" : now),
        generatorURL: "",
        fingerprint: fingerprint ?? sent.toString(16).padStart(16, "0"),
      };
    }),
  };
}

async function send(url: string, method: string, path: string, token: string, body?: object): Promise<HttpAnswer> {
  const asked = performance.now();
  const response = await fetch(url + path, {
    method,
    // A connection that is kept for the next request would outlive the last test.
    headers: {
      authorization: `Bearer ${token}`,
      connection: "close",
      ...(body && { "content-type": "application/json" }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  const ms = performance.now() - asked;
  return { status: response.status, ms, body: text.startsWith("{") ? JSON.parse(text) : text };
}
