/**
 * The compiled service with actions whose effects can be counted, for tests that stop it at a named point of a run.
 * An effect is one row in the table `effects` of the target's database. STOP_AT names the point and STOP_BY the signal
 * (SIGKILL) that this process then sends to itself, once. With ACTIONS=shipped the actions are those that ship, and
 * drop-ins are written below UNITS and RUN_UNITS, the folders of a systemd for tests. With HOLD=before:3 the changes that
 * ship wait before they begin, with HOLD=after:3 after they have ended and before that is recorded, until three of them
 * do; then this process sends itself SIGKILL.
 */

import pg from "pg";
import { z } from "zod";
import { createActions } from "../../dist/actions/registry.js";
import { systemdSetEnvironment } from "../../dist/actions/systemd/set-environment.js";
import { startApp } from "../../dist/app.js";
import { loadConfig } from "../../dist/config/load.js";
import { createLogger } from "../../dist/log.js";
import { createSender } from "../../dist/oncall/slack/send.js";
import { createSlackWeb } from "../../dist/oncall/slack/web.js";

const { STOP_AT, STOP_BY = "SIGKILL", ACTIONS, UNITS, RUN_UNITS, HOLD = "" } = process.env;
const [file, role, host] = process.argv.slice(2);

const pools = new Map();

function send({ target }, text, values) {
  const { url } = target.postgres;
  if (!pools.has(url))
    pools.set(
      url,
      new pg.Pool({ connectionString: url, max: 3 }).on("error", () => {}),
    );
  return pools.get(url).query(text, [target.name, ...values]);
}

async function effectsOn(context) {
  const { rows } = await send(context, "SELECT count(*)::int AS count FROM effects WHERE target = $1", []);
  return rows[0].count;
}

/** Waits, and leaves a row behind when it is told to stop before the time is over. */
async function pause(ms, context) {
  if (ms === 0) return;
  await new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const aborted = () => {
      clearTimeout(timer);
      const told = send(context, "INSERT INTO aborts (target, pid) VALUES ($1, $2)", [process.pid]);
      told.catch(() => {}).finally(() => reject(context.signal.reason));
    };
    if (context.signal.aborted) aborted();
    else context.signal.addEventListener("abort", aborted, { once: true });
  });
}

const look = {
  name: "ward.look",
  summary: "Looks at a patient who is sick until something took effect.",
  kind: "observe",
  input: z.strictObject({}),
  output: z.object({ sick: z.boolean(), effects: z.int() }),
  observe: async (_, context) => {
    const effects = await effectsOn(context);
    return { status: "observed", output: { sick: effects === 0, effects } };
  },
};

const nap = {
  name: "ward.nap",
  summary: "Takes its time, and counts that it began.",
  kind: "observe",
  input: z.strictObject({ ms: z.int() }),
  output: z.object({ rested: z.boolean() }),
  observe: async ({ ms }, context) => {
    await send(context, "INSERT INTO naps (target, pid) VALUES ($1, $2)", [process.pid]);
    await pause(ms, context);
    return { status: "observed", output: { rested: true } };
  },
};

function heal(name, traits, canTell = true) {
  return {
    name,
    summary: "Heals a sick patient by one effect.",
    kind: "change",
    input: z.strictObject({ beforeMs: z.int().default(0), afterMs: z.int().default(0) }),
    ...traits,
    plan: async ({ beforeMs, afterMs }, context) => {
      const sick = (await effectsOn(context)) === 0;
      return { status: "planned", plan: { beforeMs, afterMs }, effects: sick ? [`heal ${context.target.name}`] : [] };
    },
    apply: async ({ beforeMs, afterMs }, context) => {
      await send(context, "INSERT INTO applies (target, pid) VALUES ($1, $2)", [process.pid]);
      await pause(beforeMs, context);
      await send(context, "INSERT INTO effects (target, pid) VALUES ($1, $2)", [process.pid]);
      await pause(afterMs, context);
      return { status: "done", result: { healed: true } };
    },
    probe: async (_, context) => {
      if (!canTell) return "unknown";
      return (await effectsOn(context)) > 0 ? "applied" : "not-applied";
    },
  };
}

/** Says where it was done. */
function touch(name, traits) {
  return {
    name,
    summary: "Leaves the mark of the process that did it.",
    kind: "observe",
    ...traits,
    input: z.strictObject({ mark: z.string(), ms: z.int().default(0) }),
    output: z.object({ pid: z.int() }),
    observe: async ({ mark, ms }, context) => {
      await send(context, "INSERT INTO touches (target, pid, mark) VALUES ($1, $2, $3)", [process.pid, mark]);
      await pause(ms, context);
      return { status: "observed", output: { pid: process.pid } };
    },
  };
}

async function bedOf(context) {
  const { rows } = await send(context, "SELECT bed FROM moves WHERE target = $1 ORDER BY id DESC LIMIT 1", []);
  return rows[0]?.bed ?? "ward";
}

async function moveTo(bed, context) {
  if ((await bedOf(context)) !== bed)
    await send(context, "INSERT INTO moves (target, pid, bed) VALUES ($1, $2, $3)", [process.pid, bed]);
  return { status: "done", result: { bed } };
}

const move = {
  name: "ward.move",
  summary: "Moves the patient to another bed for a time.",
  kind: "change",
  risk: "low",
  repeat: "safe",
  input: z.strictObject({ bed: z.string() }),
  plan: async ({ bed }, context) => {
    const from = await bedOf(context);
    return { status: "planned", plan: { bed, from }, effects: from === bed ? [] : [`move from ${from} to ${bed}`] };
  },
  apply: ({ bed }, context) => moveTo(bed, context),
  revert: ({ from }, context) => moveTo(from, context),
  restack: (lower, upper) => ({ lower: null, upper: { ...upper, from: lower.from } }),
};

const all = [
  look,
  nap,
  touch("ward.touch", {}),
  touch("ward.touch-at-host", { onHost: true }),
  move,
  heal("ward.heal-at-host", { risk: "low", repeat: "safe", onHost: true }),
  heal("ward.heal", { risk: "low", repeat: "safe" }),
  heal("ward.heal-once", { risk: "low", repeat: "once" }),
  heal("ward.heal-blind", { risk: "low", repeat: "once" }, false),
];

let left = STOP_AT === undefined ? 0 : 1;

/** The signal ends or stops all threads; the wait keeps this one from going on until it does. */
function reached(point) {
  if (point !== STOP_AT || left === 0) return;
  left -= 1;
  process.kill(process.pid, STOP_BY);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
}

const loaded = loadConfig({ file });
if ("problems" in loaded) throw new Error(JSON.stringify(loaded.problems));
const { config } = loaded;
const log = createLogger({ level: config.log.level, secrets: config.secrets });

function shipped() {
  const { systemBusAddress, slack } = config;
  const call = slack && createSlackWeb({ token: slack.botToken.reveal(), apiUrl: slack.apiUrl });
  const sending = slack && { channels: [slack.channel], ...createSender(call) };
  const setEnvironment = systemdSetEnvironment({ systemBusAddress }, { reboot: RUN_UNITS, durable: UNITS });
  const contacts = new Map([["readers", ["slack"]]]);
  const registry = new Map(createActions({ prometheusUrl: null, systemBusAddress, slack: sending, contacts }));
  const ours = [...registry.set(setEnvironment.name, setEnvironment).values()];
  return new Map(ours.map((action) => [action.name, HOLD === "" ? action : held(action)]));
}

const [end, most] = HOLD.split(":");
let holding = 0;

function hold() {
  holding += 1;
  if (holding === Number(most)) process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
}

function held(action) {
  if (action.kind !== "change") return action;
  const before = (change) => async (plan, context) => {
    if (end === "before") return hold();
    const outcome = await change(plan, context);
    log.info({ action: action.name, outcome }, "A change is held");
    return hold();
  };
  return { ...action, apply: before(action.apply), ...(action.revert && { revert: before(action.revert) }) };
}

const actions = ACTIONS === "shipped" ? shipped() : new Map(all.map((action) => [action.name, action]));
const app = await startApp(config, { role, host: host ?? null, log, actions, reached });
log.info({ url: app.url }, "Paramedic is up");
process.once("SIGTERM", async () => {
  await app.stop();
  for (const pool of pools.values()) await pool.end();
  // As the program does: a client of a Redis that is away would go on for ever.
  setTimeout(() => process.exit(0), 500).unref();
});
