/** The REST API on a real HTTP server and the real store, with a worker's pen for the histories that tests need. */

import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { type Api, createApi } from "../../src/api/router.ts";
import type { ApiWorld } from "../../src/api/world.ts";
import { type ApproverSet, whyNotApprover } from "../../src/domain/approver.ts";
import type { Happening } from "../../src/domain/event.ts";
import type { ChangeStep, ObserveStep, Playbook } from "../../src/domain/playbook.ts";
import type { Role } from "../../src/domain/role.ts";
import type { Standing } from "../../src/domain/run.ts";
import { startHttpServer } from "../../src/http/server.ts";
import { newId } from "../../src/ids.ts";
import { createRequestRun } from "../../src/playbooks/request.ts";
import { createAppend } from "../../src/store/append.ts";
import { createApprovals } from "../../src/store/approvals.ts";
import { createClaims } from "../../src/store/claim.ts";
import { connect, type Database } from "../../src/store/connect.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createMitigations } from "../../src/store/mitigations.ts";
import { createReads } from "../../src/store/reads.ts";
import { createReceive } from "../../src/store/receive.ts";
import { createRequests } from "../../src/store/requests.ts";
import { createSwitches } from "../../src/store/switches.ts";
import { createReadiness } from "../../src/telemetry/health.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { sharedPostgres } from "./postgres.ts";

/** One token of each role, and a second approver; the secret of `lead` is `secret-of-lead`. */
export const tokens: readonly { readonly name: string; readonly role: Role; readonly secret: string }[] = [
  { name: "screen", role: "viewer", secret: "secret-of-screen" },
  { name: "shift", role: "operator", secret: "secret-of-shift" },
  { name: "lead", role: "approver", secret: "secret-of-lead" },
  { name: "deputy", role: "approver", secret: "secret-of-deputy" },
  { name: "chief", role: "admin", secret: "secret-of-chief" },
];

const look: ObserveStep = {
  id: "look",
  do: "ward.look",
  kind: "observe",
  if: null,
  with: {},
  timeoutMs: 1_000,
  onHost: false,
};
const heal: ChangeStep = {
  id: "heal",
  do: "ward.heal",
  kind: "change",
  if: null,
  with: {},
  timeoutMs: 1_000,
  onHost: false,
  risk: "high",
  repeat: "safe",
  approval: "by-risk",
  revert: null,
};

/** A playbook that only alerts start, on the target of a label, with two steps. */
export function playbook(changes: Partial<Playbook> = {}): Playbook {
  const name = changes.name ?? "heal-ward";
  return {
    name,
    summary: "Heal the ward.",
    hash: `sha256:${name}`,
    source: `name: ${name}\n`,
    on: { alerts: ['alertname="Sick"'], request: null },
    target: { label: "service" },
    cooldownMs: null,
    budget: [],
    onResolved: "stop",
    steps: [look, heal],
    verify: [],
    escalate: null,
    announce: "now",
    notify: [],
    approvals: { atLeast: null, expireAfterMs: null, by: null },
    ...changes,
  };
}

/** The set that an approval may ask for: the chief's token is in it. */
const approverSets: ReadonlyMap<string, ApproverSet> = new Map([
  ["chiefs", { name: "chiefs", users: [], groups: [], tokens: ["chief"] }],
]);

const note = { type: "string", description: null, default: null, required: true } as const;

/** The playbook that acts on no target and takes a dose, which is `least` unless given. */
export function noTarget(least = 1): Playbook {
  const dose = { type: "integer", description: null, default: least, required: false } as const;
  return playbook({ name: "no-target", target: null, on: { alerts: null, request: { inputs: { dose, note } } } });
}

export const playbooks: readonly Playbook[] = [
  playbook(),
  playbook({ name: "fixed-ward", target: { name: "ward" }, on: { alerts: null, request: { inputs: {} } } }),
  noTarget(),
];

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface CallOptions {
  /** The name of a token; null for none. `chief` unless given. */
  readonly as?: string | null;
  /** Sent as JSON; a string or bytes are sent as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An open stream of events. */
export interface EventStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What has come so far, blocks with `id`, `event` and `data` only. */
  events(): readonly { readonly id: number; readonly event: string; readonly data: { readonly type: string } }[];
  text(): string;
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>;
  /** Goes away as a client does that is closed. */
  leave(): void;
}

export interface ApiServer {
  readonly api: Api;
  readonly port: number;
  readonly url: string;
  readonly database: Database;
  /** Everything that was logged. */
  readonly lines: { readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }[];
  /** Runs that were hinted at, in order. */
  readonly hinted: string[];
  readonly receive: ReturnType<typeof createReceive>;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  follow(path: string, headers?: Readonly<Record<string, string>>): Promise<EventStream>;
  /** Requests a run over the API and returns its id. */
  start(body?: Readonly<Record<string, unknown>>, as?: string): Promise<string>;
  /** Writes to a run as its worker does: claims it, appends, and leaves it as `standing` says. */
  write(run: string, happenings: readonly Happening[], standing: Standing): Promise<void>;
  /** Lets a run end. */
  end(run: string): Promise<void>;
  /** A run of `heal-ward`, requested by `by`, whose change waits for people. */
  ask(options?: {
    readonly by?: string;
    readonly atLeast?: number;
    readonly expiresAt?: string;
  }): Promise<{ readonly run: string; readonly approval: string; readonly digest: string }>;
  close(): Promise<void>;
}

/** Starts it, on a fresh database unless one is given. */
export async function startApiServer(changes: Partial<ApiWorld> = {}, given?: string): Promise<ApiServer> {
  const databaseUrl = given ?? (await sharedPostgres()).url;
  await migrate(databaseUrl);
  const database = connect(databaseUrl);
  const lines: ApiServer["lines"] = [];
  const hinted: string[] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message });
  const log = { info: write("info"), warn: write("warn"), error: write("error") };
  const reads = createReads(database);
  const requests = createRequests(database, Date.now);
  const hint = (ids: readonly string[]) => void hinted.push(...ids);
  const api = createApi({
    tokens,
    playbooks,
    playbookOf: async (hash) => playbooks.find((one) => one.hash === hash) ?? null,
    requestRun: createRequestRun({
      playbooks: changes.playbooks ?? playbooks,
      targets: [{ name: "ward" }, { name: "clinic" }],
      store: requests,
      hint,
      newId,
      now: Date.now,
      log,
    }),
    whyNotApprover: async ({ who, role }, approvers) =>
      whyNotApprover({ who, role, groups: [] }, approvers, approverSets),
    store: {
      ...reads,
      requests,
      approvals: createApprovals(database),
      escalations: createEscalations(database, newId),
      switches: createSwitches(database),
      mitigations: createMitigations(database, newId, Date.now),
    },
    hint,
    newId,
    readiness: createReadiness({
      store: reads.ping,
      queue: async () => {},
      outbox: async () => ({ dead: 0, failing: 0 }),
    }),
    metrics: createMetrics(),
    log,
    ...changes,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, routers: [api.router], log });
  const port = Number(new URL(server.url).port);
  const claims = createClaims(database, { worker: "test", leaseMs: 30_000 });
  const append = createAppend(database, { newId, asksInSlack: false, tellsChanges: false });

  function send(method: string, path: string, options: CallOptions): ClientRequest {
    const { as = "chief", body, headers = {} } = options;
    const secret = tokens.find((token) => token.name === as)?.secret;
    return httpRequest({
      host: "127.0.0.1",
      port,
      method,
      path,
      agent: false,
      headers: {
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
    });
  }

  async function call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const { body } = options;
    const request = send(method, path, options);
    const response = responseOf(request);
    const isText = typeof body === "string" || Buffer.isBuffer(body) || body === undefined;
    request.end(isText ? body : JSON.stringify(body));
    return read(await response);
  }

  const one: ApiServer = {
    api,
    port,
    url: server.url,
    database,
    lines,
    hinted,
    receive: createReceive(database, Date.now),
    call,
    follow: async (path, headers = {}) => {
      const request = send("GET", path, { headers });
      const response = responseOf(request);
      request.end();
      return streamOf(request, await response);
    },
    start: async (body = {}, as = "shift") => {
      const answer = await call("POST", "/api/v1/runs", {
        as,
        body: { playbook: "heal-ward", target: "ward", reason: "a test", ...body },
      });
      if (answer.status !== 201) throw new Error(`no run was started: ${answer.text}`);
      return answer.json.id;
    },
    write: async (run, happenings, standing) => {
      const claimed = await claims.claim(run);
      if (!claimed) throw new Error(`run ${run} cannot be claimed`);
      const { fence, lastSeq, lastHash } = claimed;
      const dated = happenings.map((happening) => ({ at: new Date().toISOString(), ...happening }));
      const written = await append({ runId: run, fence, lastSeq, lastHash, happenings: dated, standing });
      if (written.kind !== "written") throw new Error(`the events of run ${run} were not written: ${written.kind}`);
    },
    end: (run) =>
      one.write(run, [{ type: "ended", outcome: "nothing-to-do", reason: "a test ends it" }], {
        state: "ended",
        outcome: "nothing-to-do",
      }),
    ask: async ({ by = "shift", atLeast = 1, expiresAt = new Date(Date.now() + 60_000).toISOString() } = {}) => {
      const run = await one.start({}, by);
      const approval = newId();
      const digest = `sha256:${approval}`;
      const effects = ["bed 1 gets a blanket"];
      await one.write(
        run,
        [
          { type: "step-observed", step: "look", output: { cold: 1 }, durationMs: 1 },
          { type: "step-planned", step: "heal", digest, plan: { beds: [1] }, effects, durationMs: 1 },
          {
            type: "approval-requested",
            step: "heal",
            approval,
            digest,
            effects,
            reasons: ["risk-high"],
            expiresAt,
            atLeast,
          },
        ],
        { state: "waiting", for: "approval", dueAt: Date.parse(expiresAt) },
      );
      return { run, approval, digest };
    },
    close: async () => {
      api.close();
      await server.close();
      await database.close();
    },
  };
  return one;
}

function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
}

async function read(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  const isJson = /json/.test(response.headers["content-type"] ?? "") && text !== "";
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : null,
  };
}

function streamOf(request: ClientRequest, response: IncomingMessage): EventStream {
  let text = "";
  response.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  request.on("error", () => {});
  response.on("error", () => {});
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events: () =>
      [...text.matchAll(/^id: (\d+)\nevent: (.*)\ndata: (.*)\n\n/gm)].map(([, id, event, data]) => ({
        id: Number(id),
        event: event ?? "",
        data: JSON.parse(data ?? "null"),
      })),
    text: () => text,
    ended: new Promise((resolve) => {
      response.once("close", () => resolve());
    }),
    leave: () => request.destroy(),
  };
}
