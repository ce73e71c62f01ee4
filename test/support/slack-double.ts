/**
 * Stands for Slack: its Web API over HTTP with Slack's own checks and errors, and the clicks, modals and commands that
 * it sends to an app, signed or by Socket Mode. What it holds can be looked at; it fails on demand.
 */

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { respond, say, submitted } from "./slack-double-answers.ts";
import type { Fields } from "./slack-double-blocks.ts";
import { argumentsOf, failWith, json, readAll, type SlackFailure } from "./slack-double-http.ts";
import { methods } from "./slack-double-methods.ts";
import {
  type Answered,
  type Click,
  clickPayload,
  commandFields,
  type Forgery,
  newTrigger,
  type SignedRequest,
  send,
  sign,
  submissionPayload,
} from "./slack-double-requests.ts";
import { openSocketServer, type SlackSocket } from "./slack-double-socket.ts";
import {
  channelOf,
  newWorkspace,
  type SlackChannel,
  type SlackEphemeral,
  type SlackMessage,
  type SlackUser,
  type SlackView,
} from "./slack-double-workspace.ts";

/** A call of the Web API as it came, without the token. */
export interface SlackCall {
  readonly method: string;
  readonly args: Fields;
  /** `performance.now()` when it came. */
  readonly at: number;
  /** What was answered; null: nothing, or by a failure that was asked for. */
  readonly answer: Fields | null;
}

/** Where a request goes in place of `sendTo`'s address, and how it differs from Slack's. */
export interface SendOptions {
  readonly to?: string;
  readonly forge?: Forgery;
}

/** An answer with the request that it answers, so that the same bytes can be sent again. */
export interface Sent extends Answered {
  /** Null over Socket Mode. */
  readonly request: SignedRequest | null;
}

export interface SlackDouble {
  /** For `slack.apiUrl`. */
  readonly apiUrl: string;
  readonly botToken: string;
  readonly appToken: string;
  readonly signingSecret: string;
  readonly teamId: string;
  readonly appId: string;
  readonly botUserId: string;
  /** The id of `#ops`, which there is from the start, with the app in it. */
  readonly ops: string;

  /** The messages of a channel (id or name; default `#ops`) in order, without the replies that are only in threads. */
  messages(channel?: string): readonly SlackMessage[];
  /** The replies to a message, in order. */
  thread(message: SlackMessage): readonly SlackMessage[];
  readonly ephemerals: readonly SlackEphemeral[];
  readonly views: readonly SlackView[];
  /** The calls of one method, or all, in order. */
  calls(method?: string): readonly SlackCall[];

  addUser(id: string, about?: Partial<Omit<SlackUser, "id">>): SlackUser;
  /** Makes the group if there is none and says who is in it. */
  setGroup(id: string, users: readonly string[]): void;
  removeGroup(id: string): void;
  /** Adds a channel; the answer may be changed: `archived`, `appIsIn`, `isPrivate`, `members`. */
  addChannel(name: string, about?: Partial<Omit<SlackChannel, "id" | "name">>): SlackChannel;
  channel(idOrName: string): SlackChannel;
  deleteMessage(message: SlackMessage): void;
  /** From now on the message can no longer be edited. */
  closeEditWindow(message: SlackMessage): void;
  /** What the app was granted; a scope that is deleted from it makes `missing_scope`. */
  readonly scopes: Set<string>;
  /** For how long a trigger may open a modal, in milliseconds; Slack's 3,000 until changed. */
  setTriggerLife(ms: number): void;

  /** Fails the next `times` calls of a method (`*`: any), or all until told otherwise; null: works again. */
  fail(method: string, failure: SlackFailure | null, times?: number): void;

  /** From now on takes so many calls of a method in a channel at once, and then one a second; the others get 429. */
  limit(method: string, atOnce: number): void;

  /** Where clicks, modals and commands go: an address, or `socket` for Socket Mode. */
  sendTo(to: string): void;
  click(click: Click & SendOptions): Promise<Sent>;
  /** Submits an open modal, with what is in its fields by their action ids. */
  submit(
    view: SlackView,
    values: Readonly<Record<string, string>>,
    options?: SendOptions & { readonly user?: string; readonly userTeam?: string; readonly appId?: string },
  ): Promise<Sent>;
  /** `/paramedic runs` is `command("runs", { user })`. */
  command(
    text: string,
    options: SendOptions & {
      readonly user: string;
      readonly channel?: string;
      readonly command?: string;
      readonly team?: string;
      readonly appId?: string;
    },
  ): Promise<Sent>;
  /** Signs and sends a body that no click of this double makes. */
  post(
    body: string,
    options?: SendOptions & { readonly contentType?: string; readonly method?: string },
  ): Promise<Sent>;
  /** The same bytes once more. */
  resend(sent: Sent, to?: string): Promise<Sent>;

  readonly socket: SlackSocket;
  /** How many connections are open whose request waits for its answer. */
  connections(): number;
  stop(): Promise<void>;
}

const scopesOfParamedic = [
  "chat:write",
  "commands",
  "users:read",
  "usergroups:read",
  "channels:read",
  "connections:write",
];

/** Starts one on 127.0.0.1. */
export async function startSlackDouble(): Promise<SlackDouble> {
  const workspace = newWorkspace();
  const botToken = `xoxb-${randomBytes(12).toString("hex")}`;
  const appToken = `xapp-${randomBytes(12).toString("hex")}`;
  const signingSecret = randomBytes(16).toString("hex");
  const scopes = new Set(scopesOfParamedic);
  const calls: SlackCall[] = [];
  const failures = new Map<string, { readonly failure: SlackFailure; left: number }>();
  const limits = new Map<string, number>();
  const buckets = new Map<string, { left: number; at: number }>();
  const connections = new Set<Socket>();
  const unanswered = new Set<ServerResponse>();
  const timers = new Set<NodeJS.Timeout>();
  let triggerLifeMs = 3_000;
  let destination: string | null = null;

  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    unanswered.add(response);
    response.once("close", () => unanswered.delete(response));
    void answer(request, response).catch((error: unknown) => {
      response.writeHead(500, { "content-type": "text/plain" }).end(`The double is broken: ${String(error)}`);
    });
  });
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => connections.delete(socket));
  });
  const socket = openSocketServer(server, workspace.appId);
  await new Promise<void>((listening) => {
    server.listen(0, "127.0.0.1", listening);
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw = (await readAll(request)).toString("utf8");
    const path = new URL(request.url ?? "/", `http://${host}`).pathname;
    if (path.startsWith("/actions/")) return respond(workspace, path, raw, response);
    if (!path.startsWith("/api/")) return json(response, { ok: false, error: "unknown_path" }, 404);
    const method = path.slice("/api/".length);
    const { token, ...args } = argumentsOf(request, raw);
    const record = (given: Fields | null) => calls.push({ method, args, at: performance.now(), answer: given });
    const failure = nextFailure(method) ?? overLimit(method, args);
    if (failure && failure !== "answer-lost" && !(typeof failure === "object" && "afterMs" in failure)) {
      record(null);
      return failWith(failure, request, response);
    }
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? token;
    const given = refusalOfToken(method, bearer) ?? call(method, args);
    record(given);
    if (failure === "answer-lost") return void request.socket.destroy();
    if (failure) await pause(failure.afterMs);
    return json(response, given);
  }

  function call(method: string, args: Fields): Fields {
    if (method === "apps.connections.open") return { ok: true, url: socket.ticket(host) };
    const known = methods[method];
    if (!known) return { ok: false, error: "unknown_method" };
    if (known.scope !== null && !scopes.has(known.scope)) {
      return { ok: false, error: "missing_scope", needed: known.scope, provided: [...scopes].join(",") };
    }
    return known.answer(workspace, args);
  }

  function refusalOfToken(method: string, token: unknown): Fields | null {
    if (!token) return { ok: false, error: "not_authed" };
    const wanted = method === "apps.connections.open" ? appToken : botToken;
    if (token === wanted) return null;
    const isOther = token === appToken || token === botToken;
    return { ok: false, error: isOther ? "not_allowed_token_type" : "invalid_auth" };
  }

  function nextFailure(method: string): SlackFailure | null {
    const key = failures.has(method) ? method : "*";
    const found = failures.get(key);
    if (!found) return null;
    found.left -= 1;
    if (found.left <= 0) failures.delete(key);
    return found.failure;
  }

  function overLimit(method: string, args: Fields): SlackFailure | null {
    const atOnce = limits.get(method);
    if (atOnce === undefined) return null;
    const key = `${method} ${String(args["channel"])}`;
    const now = performance.now();
    const bucket = buckets.get(key) ?? { left: atOnce, at: now };
    const left = Math.min(atOnce, bucket.left + (now - bucket.at) / 1_000);
    buckets.set(key, { left: left < 1 ? left : left - 1, at: now });
    return left < 1 ? { retryAfter: 1 } : null;
  }

  async function pause(ms: number): Promise<void> {
    await new Promise<void>((done) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        done();
      }, ms);
      timers.add(timer);
    });
  }

  function responseUrl(channel: string, user: string, ts: string | null): string {
    const path = `/actions/${workspace.teamId}/${randomBytes(12).toString("hex")}`;
    workspace.responseUrls.set(path, { channel, user, ts, left: 5 });
    return `http://${host}${path}`;
  }

  async function deliver(body: string, options: SendOptions, socketed?: () => Promise<Answered>): Promise<Sent> {
    const to = options.to ?? destination;
    if (to === null) throw new Error("Say where it goes: sendTo(address) or sendTo('socket').");
    if (to === "socket" && socketed) return { ...(await socketed()), request: null };
    const request = sign(body, signingSecret, options.forge);
    return { ...(await send(to, request)), request };
  }

  const payloadBody = (payload: Fields) => new URLSearchParams({ payload: JSON.stringify(payload) }).toString();

  const double: SlackDouble = {
    apiUrl: `http://${host}/api/`,
    botToken,
    appToken,
    signingSecret,
    teamId: workspace.teamId,
    appId: workspace.appId,
    botUserId: workspace.botUserId,
    ops: "C0OPS",
    messages: (given = "#ops") => {
      const { id } = double.channel(given);
      return workspace.messages.filter((one) => one.channel === id && (one.threadTs === null || one.broadcast));
    },
    thread: ({ channel, ts }) => workspace.messages.filter((one) => one.channel === channel && one.threadTs === ts),
    ephemerals: workspace.ephemerals,
    views: workspace.views,
    calls: (method) => calls.filter((one) => method === undefined || one.method === method),

    addUser: (id, about = {}) => {
      const user = {
        id,
        name: id.toLowerCase(),
        teamId: workspace.teamId,
        deactivated: false,
        kind: "member",
        ...about,
      };
      workspace.users.set(id, user as SlackUser);
      return user as SlackUser;
    },
    setGroup: (id, users) => void workspace.groups.set(id, new Set(users)),
    removeGroup: (id) => void workspace.groups.delete(id),
    addChannel: (name, about = {}) => {
      const id = name === "ops" ? "C0OPS" : `C${randomBytes(4).toString("hex").toUpperCase()}`;
      const channel = { id, name, isPrivate: false, archived: false, appIsIn: true, members: null, ...about };
      workspace.channels.set(id, channel);
      return channel;
    },
    channel: (given) => {
      const found = channelOf(workspace, given);
      if (!found) throw new Error(`The double has no channel '${given}': add it.`);
      return found;
    },
    deleteMessage: (message) => void workspace.messages.splice(workspace.messages.indexOf(message), 1),
    closeEditWindow: ({ ts }) => void workspace.closed.add(ts),
    scopes,
    setTriggerLife: (ms) => {
      triggerLifeMs = ms;
    },
    limit: (method, atOnce) => void limits.set(method, atOnce),
    fail: (method, failure, times = Number.POSITIVE_INFINITY) => {
      if (failure === null) failures.delete(method);
      else failures.set(method, { failure, left: times });
    },

    sendTo: (to) => {
      destination = to;
    },
    click: async ({ to, forge, ...click }) => {
      const trigger = newTrigger(workspace, click.user, triggerLifeMs);
      const url = responseUrl(click.message.channel, click.user, click.message.ts);
      const payload = clickPayload(workspace, click, trigger, url);
      return await deliver(payloadBody(payload), sendOptions(to, forge), () => socket.send("interactive", payload));
    },
    submit: async (view, values, { to, forge, ...overrides } = {}) => {
      const trigger = newTrigger(workspace, view.user, triggerLifeMs);
      const payload = submissionPayload(workspace, view, values, overrides, trigger);
      const sent = await deliver(payloadBody(payload), sendOptions(to, forge), () =>
        socket.send("interactive", payload),
      );
      if (sent.status === 200) submitted(view, sent.body);
      return sent;
    },
    command: async (text, { user, channel = "C0OPS", command = "/paramedic", to, forge, ...overrides }) => {
      const trigger = newTrigger(workspace, user, triggerLifeMs);
      const url = responseUrl(channel, user, null);
      const fields = commandFields(workspace, { command, text, user, channel, ...overrides }, trigger, url);
      const body = new URLSearchParams(fields).toString();
      const sent = await deliver(body, sendOptions(to, forge), () => socket.send("slash_commands", fields));
      if (sent.status === 200 && sent.body !== "") say(workspace, "command", { channel, user, ts: null }, sent.body);
      return sent;
    },
    post: async (body, { to, forge, contentType, method } = {}) => {
      const address = to ?? destination;
      if (address === null) throw new Error("Say where it goes: sendTo(address).");
      const request = sign(body, signingSecret, forge, contentType);
      return { ...(await send(address, request, method)), request };
    },
    resend: async ({ request }, to = destination ?? "") => {
      if (!request) throw new Error("It went over Socket Mode: use socket.redeliver.");
      return { ...(await send(to, request)), request };
    },
    socket,
    connections: () => unanswered.size,
    stop: async () => {
      for (const timer of timers) clearTimeout(timer);
      await socket.stop();
      for (const one of connections) one.destroy();
      await new Promise((closed) => {
        server.close(closed);
      });
    },
  };
  double.addChannel("ops");
  return double;
}

function sendOptions(to: string | undefined, forge: Forgery | undefined): SendOptions {
  return { ...(to !== undefined && { to }), ...(forge !== undefined && { forge }) };
}
