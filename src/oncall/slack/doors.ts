/** Slack's doors put together: signed HTTP or Socket Mode, Bolt in the middle, and behind it clicks, windows and commands. */

import { setMaxListeners } from "node:events";
import { type AckFn, App, type Logger, LogLevel } from "@slack/bolt";
import { within } from "../within.ts";
import { acknowledgeId, approveId, declineId, showAllId } from "./action-ids.ts";
import { type Command, type Pressed, readCommand, readDecline, readLook, readPress, whoOf } from "./click.ts";
import { createClicks, type Kept } from "./clicks.ts";
import { changesSomething, commandName, createCommands } from "./commands.ts";
import { declineCallback, reasonBlock } from "./decline-modal.ts";
import { createOwnTeam } from "./own-team.ts";
import { createReceiver, type Incoming, type SlackRouter } from "./receiver.ts";
import { createReply, type Listener } from "./reply.ts";
import { createShowAll } from "./show-all.ts";
import { keepSocket } from "./socket.ts";
import type { WebCall } from "./web-call.ts";
import type { DoorLog, SlackWorld } from "./world.ts";

export interface SlackDoorsOptions {
  readonly world: SlackWorld;
  readonly call: WebCall;
  /** Where the Web API is. */
  readonly apiUrl: string;
  /** For HTTP mode; null: none. */
  readonly signingSecret: string | null;
  /** For Socket Mode; null: none. */
  readonly appToken: string | null;
  /** Told by how many seconds our clock is ahead of Slack's, of each signed request. */
  readonly onSkew: (seconds: number) => void;
  /** Milliseconds since 1970; the system's clock where left out. */
  readonly now?: () => number;
}

export interface SlackDoors {
  /** To be mounted before everything that reads bodies; null in Socket Mode. */
  readonly router: SlackRouter | null;
  /** Begins to speak with Slack, in the background. */
  start(): void;
  /** Takes nothing new; waits a moment for what is in hand. What is not done then is left to `sweep`, of any process. */
  stop(): Promise<void>;
  /** Handles clicks whose process stopped before it had. Rejects where the store cannot be used. */
  sweep(signal: AbortSignal): Promise<void>;
}

/**
 * The answer says that the click is stored, so it comes as soon as that is done. Slack shows a failure after 3 s; a store
 * that is slower than this is not waited for, and the click is then handled all the same.
 */
const acknowledgeAfterMs = 700;
const lastClicksMs = 2_000;

/** Makes the doors. Calls nobody. */
export function createSlackDoors(options: SlackDoorsOptions): SlackDoors {
  const { world, call } = options;
  const { log } = world;
  const now = options.now ?? Date.now;
  const apiUrl = options.apiUrl.endsWith("/") ? options.apiUrl : `${options.apiUrl}/`;
  const ended = new AbortController();
  const { signal } = ended;
  // As many calls as there are clicks at one time.
  setMaxListeners(0, signal);
  const ownTeam = createOwnTeam(call, log);
  const reply = createReply({ call, apiUrl, log });
  const clicks = createClicks({ world, call, ownTeam, reply });
  const showAll = createShowAll({ world, call, ownTeam, reply });
  const runCommand = createCommands(world, ownTeam, now);
  const inHand = new Set<Promise<unknown>>();
  const background: Promise<unknown>[] = [];

  /** Goes on after Slack has its answer. */
  function goOn(work: Promise<unknown>): void {
    const going = work.catch((error: unknown) => log.error({ err: error }, "A click failed by a bug"));
    inHand.add(going);
    void going.finally(() => inHand.delete(going));
  }

  /** Stores, and answers Slack as soon as that is done or has taken too long. */
  async function press(pressed: Pressed, ack: Ack): Promise<void> {
    const keeping = clicks.keep(pressed);
    goOn(keeping.then((kept) => clicks.handle(pressed, kept, signal)));
    await soon(keeping);
    await ack();
  }

  /** As a press; but while the window is open, it can say that something went wrong. */
  async function submit(pressed: Pressed, ack: Ack): Promise<void> {
    if (pressed.click.kind === "decline" && pressed.click.reason === "") return ack(showing("Write a reason."));
    const keeping = clicks.keep(pressed);
    const kept = await soon(keeping);
    if (kept === "lost")
      return ack(showing("Paramedic's database did not confirm this. Try again, or use the command line."));
    goOn(keeping.then((known) => clicks.handle(pressed, known, signal)));
    await ack();
  }

  async function command(typed: Command, ack: Ack): Promise<void> {
    const pressed: Pressed = {
      key: typed.key,
      click: { kind: "command", text: typed.text, from: typed.from },
      trigger: null,
    };
    const keeping: Promise<Kept | "not-kept"> = changesSomething(typed.text)
      ? clicks.keep(pressed)
      : Promise.resolve("not-kept");
    goOn(keeping.then((kept) => clicks.hold(typed.key, () => doCommand(typed, kept))));
    await soon(keeping);
    await ack();
  }

  async function doCommand(typed: Command, kept: Kept | "not-kept"): Promise<void> {
    const to: Listener = { user: typed.from.user, channel: typed.from.channel, responseUrl: typed.responseUrl };
    const who = whoOf(typed.from);
    // The same one once more: whoever sent it has its answer.
    if (kept === "seen") return log.info({ who }, "A command was delivered more than once");
    if (kept === "lost") return reply(to, storeIsAway, signal);
    const said = await runCommand(typed, signal).catch((error: unknown) => {
      if (signal.aborted) return null;
      if (world.isOutage(error)) log.warn({ err: error, who }, "A command failed because the store cannot be used");
      else log.error({ err: error, who }, "A command failed by a bug");
      return world.isOutage(error)
        ? storeIsAway
        : "Paramedic failed to do this. That is a bug; its log has the details.";
    });
    // Whoever sweeps it up says that it was interrupted.
    if (said === null) return;
    await reply(to, said, signal);
    if (kept === "new" && !signal.aborted) {
      await world.clickHandled(typed.key).catch((error: unknown) => {
        log.warn({ err: error, who }, "It could not be noted that a command was done");
      });
    }
  }

  const app = boltApp(log);
  for (const id of [approveId, declineId, acknowledgeId]) {
    app.action(id, async ({ body, ack }) => {
      const pressed = readPress(body);
      if (pressed) await press(pressed, quiet(ack, log));
      else unreadable(log);
    });
  }
  app.action(showAllId, async ({ body, ack }) => {
    const look = readLook(body);
    if (look) goOn(showAll(look, signal));
    else unreadable(log);
    await quiet(ack, log)();
  });
  app.view(declineCallback, async ({ body, ack }) => {
    const pressed = readDecline(body);
    if (pressed) await submit(pressed, quiet(ack, log));
    else unreadable(log);
  });
  app.command(commandName, async ({ body, ack }) => {
    const typed = readCommand(body);
    if (typed) await command(typed, quiet(ack, log));
    else unreadable(log);
  });

  const { signingSecret, appToken } = options;
  const take = ({ body, ack }: Incoming) => app.processEvent({ body, ack });
  const router =
    signingSecret === null ? null : createReceiver({ signingSecret, now, onSkew: options.onSkew, take, log });

  return {
    router:
      router === null ? null : (request, response, next) => (signal.aborted ? next() : router(request, response, next)),
    start: () => {
      background.push(ownTeam.ask(signal));
      if (appToken !== null)
        background.push(keepSocket({ appToken, apiUrl, app, logger: boltLogger(log), log }, signal));
    },
    stop: async () => {
      await atMost(lastClicksMs, inHand);
      ended.abort();
      await Promise.allSettled(background);
      await atMost(lastClicksMs, inHand);
    },
    sweep: (stopped) => {
      setMaxListeners(0, stopped);
      return clicks.sweep(stopped);
    },
  };
}

type Ack = (answer?: unknown) => Promise<void>;

/** An acknowledgement that cannot be delivered changes nothing about what was pressed. */
function quiet(ack: AckFn<never> | AckFn<void> | ((answer?: never) => Promise<void>), log: DoorLog): Ack {
  return async (answer) => {
    await (ack as Ack)(answer).catch((error: unknown) =>
      log.warn({ err: error }, "Slack could not be told that a click was taken"),
    );
  };
}

async function atMost(ms: number, works: Iterable<Promise<unknown>>): Promise<void> {
  await within(ms, new AbortController().signal, () => Promise.allSettled([...works]));
}

/** What it is bound to, or null where that takes too long. */
async function soon<T>(work: Promise<T>): Promise<T | null> {
  const bounded = await within(acknowledgeAfterMs, new AbortController().signal, () => work);
  return bounded.kind === "done" ? bounded.value : null;
}

function showing(problem: string): object {
  return { response_action: "errors", errors: { [reasonBlock]: problem } };
}

function unreadable(log: DoorLog): void {
  log.warn({}, "Slack sent something for one of our buttons that cannot be read; nothing was done");
}

const storeIsAway =
  "Paramedic's database cannot be used at the moment, so this may not have been done. Try again in a minute, and look before you repeat it.";

/** Bolt without a token, without receivers of its own and without calls to Slack: it says what a payload is for. */
function boltApp(log: DoorLog): App {
  const app = new App({
    receiver: { init: () => undefined, start: async () => undefined, stop: async () => undefined },
    authorize: async () => ({}),
    ignoreSelf: false,
    convoStore: false,
    logger: boltLogger(log),
  });
  app.error(async (error) => log.error({ err: error }, "Something of Slack's failed by a bug"));
  return app;
}

/** Bolt's words are values; they go into a field. */
function boltLogger(log: DoorLog): Logger {
  const detail = (words: readonly unknown[]) => ({ detail: words.map(String).join(" ").slice(0, 500) });
  return {
    debug: () => undefined,
    info: (...words) => log.debug(detail(words), "Slack's library says something"),
    warn: (...words) => log.warn(detail(words), "Slack's library warns"),
    error: (...words) => log.warn(detail(words), "Slack's library reports an error"),
    setLevel: () => undefined,
    getLevel: () => LogLevel.INFO,
    setName: () => undefined,
  };
}
