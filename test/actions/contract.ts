/** The contract suite: what every action must keep, against the real system it acts upon. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createActions } from "../../src/actions/registry.ts";
import type { Action, ActionContext, Failure, Observed, Outcome, Planned } from "../../src/domain/action.ts";
import type { Json } from "../../src/domain/json.ts";
import type { Target } from "../../src/domain/target.ts";
import { freePort } from "../support/free-port.ts";
import { sleep, until } from "../support/until.ts";
import { canary, contextFor } from "./context.ts";

/** An action and the system that it acts upon. */
export interface Subject {
  readonly action: Action;
  readonly target: Target | null;
}

export interface Contract {
  /** An input that works. */
  readonly input: unknown;
  /** Inputs that the schema must refuse, so that they reach nothing. */
  readonly hostile: readonly unknown[];
  /** The action with its real system, there and healthy. Its password, where there is one, is the canary. */
  readonly healthy: () => Subject;
  /** The action with its system at this port of 127.0.0.1, where nobody listens or nobody answers. */
  readonly at?: (port: number) => Subject;
  /** That its answer is whether the system is there: one that has vanished is observed, and is no failure. */
  readonly seesVanished?: true;
  /** In the place of `at` where no connection is made: the action with its system gone, and what the reason must name. */
  readonly gone?: () => { readonly subject: Subject; readonly named: string };
  /** What an apply is that was sent to a system which does not answer. Left out: a failure before anything changed. */
  readonly unheard?: "unknown";
  /** Makes something that a change would change. */
  readonly arrange?: () => Promise<void>;
  /** How a change is held inside its work, so that the signal can stop it there; or it is in `stoppedElsewhere`. */
  readonly midway?: Midway;
  /** What observing and planning must leave as it is, and a second apply must not change again. */
  readonly state: () => Promise<unknown>;
}

/** A change that the signal stops inside its work, and what it says of itself then. */
export interface Midway {
  /** Has the next apply come to stand still inside its work. Called once something is planned. */
  readonly hold: () => Promise<Held>;
  /** `unchanged`: a failure that may pass, and the state is as before; otherwise what the outcome must be like. */
  readonly told: "unchanged" | Partial<Outcome>;
  /** For what is not to be done twice: what a probe says once nothing holds it any more. */
  readonly probed?: "applied" | "not-applied" | "unknown";
}

export interface Held {
  /** In the place of the healthy one, for this one apply. */
  readonly subject?: Subject;
  /** Whether the apply has come to stand still. */
  inside(): Promise<boolean>;
  /** Resolves once nothing of what was stopped goes on, or throws. Left out: there is nothing that could. */
  ended?(): Promise<unknown>;
  /** Lets go of it. */
  release(): Promise<unknown>;
}

/** The longest that a worker waits for an action that was stopped. */
const graceMs = 2_000;

/** Changes whose contract does not hold them midway: the test that stops them there, or why nothing can. */
export const stoppedElsewhere: Readonly<Record<string, { readonly file: string; readonly test: string } | string>> = {
  "deploy.rollback": {
    file: "deploy/rollback.test.ts",
    test: "stopped in a step, all that it started is ended, it is not known how far it came, and it goes on from there",
  },
  ...Object.fromEntries(
    ["warm-caches", "clear-cache", "cleanup-metrics", "archive-metrics"].map((name) => [
      `django.${name}`,
      {
        file: "django/python.test.ts",
        test: "a change that was stopped after it began cannot be told, and one before it began can",
      },
    ]),
  ),
  "django.migrate": {
    file: "django/migrate.test.ts",
    test: "one that was stopped in the middle cannot be told until it is probed, and its session ends",
  },
  "files.delete-old": {
    file: "files/delete-old.test.ts",
    test: "is stopped between two files, and says how far it came",
  },
  "systemd.restart": {
    file: "systemd/restart.test.ts",
    test: "stopping the step while systemd works leaves the outcome unknown, and the probe tells it later",
  },
  "report.send": "It waits for nothing: the run itself keeps the report, and others tell it.",
};

const registry = createActions({ prometheusUrl: null });

/** Defines the tests of the contract for one action of the registry. Throws where a part of the contract has no test. */
export function describeContract(name: string, contract: Contract): void {
  const { kind } = registry.get(name) ?? {};
  if (kind === undefined) throw new Error(`There is no action ${name}`);
  if (kind === "change" && !contract.arrange) throw new Error(`The contract of ${name} arranges nothing to change`);
  if (kind === "change" && !contract.midway && !Object.hasOwn(stoppedElsewhere, name))
    throw new Error(`The contract of ${name} does not say how it is stopped inside its work`);
  if (!contract.at && !contract.gone) throw new Error(`The contract of ${name} does not say how its system vanishes`);
  describe(`the contract of ${name}`, () => {
    const told: string[] = [];
    const run: Run = async (subject, signal) => {
      const context = contextFor(subject.target, signal, told);
      const result = await look(subject.action, parsed(subject.action, contract.input), context);
      told.push(JSON.stringify(result));
      return result;
    };
    const apply: Apply = async (subject, plan, signal) => {
      if (subject.action.kind !== "change") throw new Error(`${name} changes nothing`);
      const result = await subject.action.apply(plan, contextFor(subject.target, signal, told));
      told.push(JSON.stringify(result));
      return result;
    };

    test("it is that of the action of this name", () => {
      expect(contract.healthy().action).toMatchObject({ name, kind });
    });

    test("hostile input is refused by the input schema", () => {
      const { action } = contract.healthy();
      const accepted = contract.hostile.filter((input) => action.input.safeParse(input).success);
      expect(accepted).toEqual([]);
      expect(contract.hostile.length).toBeGreaterThan(0);
    });

    test("looking changes nothing and gives plain JSON", async () => {
      await contract.arrange?.();
      const before = await contract.state();
      const subject = contract.healthy();
      const result = await run(subject);
      expect(await contract.state()).toEqual(before);
      expect(result.status).toBe(subject.action.kind === "observe" ? "observed" : "planned");
      expect(JSON.parse(JSON.stringify(result))).toEqual(result);
      if (subject.action.kind === "observe" && result.status === "observed") {
        expect(subject.action.output.safeParse(result.output)).toEqual({ success: true, data: result.output });
      }
    });

    test("an abort before the start is answered at once, as a failure", async () => {
      const started = performance.now();
      const result = await run(contract.healthy(), AbortSignal.abort());
      expect(result).toMatchObject({ status: "failed", retryable: true });
      expect(performance.now() - started).toBeLessThan(1_000);
    });

    const { at, gone } = contract;
    if (at) {
      test("an abort while the system does not answer is obeyed promptly", async () => {
        const silent = await listenSilently();
        try {
          const result = await abortedWhile(
            (signal) => run(at(silent.port), signal),
            () => silent.connected,
          );
          expect(result).toMatchObject({ status: "failed", retryable: true });
        } finally {
          await silent.close();
        }
      });

      test("a system that has vanished is a clear failure that may pass", async () => {
        const port = await freePort();
        const result = await run(at(port));
        expect(result).toMatchObject(
          contract.seesVanished ? { status: "observed" } : { status: "failed", retryable: true },
        );
        const told = result.status === "observed" ? JSON.stringify(result.output) : (result as Failure).reason;
        expect(told).toContain(`127.0.0.1:${port}`);
      });
    }

    if (gone) {
      test("a system that has vanished is a clear failure", async () => {
        const { subject, named } = gone();
        const result = await run(subject);
        expect(result).toMatchObject({ status: "failed", reason: expect.stringContaining(named) });
      });
    }

    if (contract.arrange) describeChange({ ...contract, arrange: contract.arrange }, run, apply);

    test("the password is told to nobody", () => {
      expect(told.length).toBeGreaterThan(contract.at ? 3 : 2);
      expect(told.filter((text) => text.includes(canary))).toEqual([]);
    });
  });
}

type Run = (subject: Subject, signal?: AbortSignal) => Promise<Planned<Json> | Observed<unknown>>;
type Apply = (subject: Subject, plan: never, signal?: AbortSignal) => Promise<Outcome>;

function describeChange(contract: Contract & { arrange: () => Promise<void> }, run: Run, apply: Apply): void {
  const planned = async (): Promise<never> => {
    await contract.arrange();
    const result = await run(contract.healthy());
    if (result.status !== "planned" || result.effects.length === 0) {
      throw new Error(`Nothing was planned: ${JSON.stringify(result)}`);
    }
    return result.plan as never;
  };

  test("two plans of the same thing are equal", async () => {
    const first = await planned();
    expect(await run(contract.healthy())).toMatchObject({ status: "planned", plan: first });
  });

  test("applying works, and a second apply of the same plan does no harm", async () => {
    const plan = await planned();
    const before = await contract.state();
    expect(await apply(contract.healthy(), plan)).toMatchObject({ status: "done" });
    const after = await contract.state();
    expect(after).not.toEqual(before);
    const again = await apply(contract.healthy(), plan);
    const { action } = contract.healthy();
    // To hear something twice harms nobody; Slack may ask for a pause between.
    if (action.kind === "change" && action.tells) return;
    expect(again).toMatchObject({ status: "done" });
    expect(await contract.state()).toEqual(after);
  });

  test("reverting restores what was there before, and reverting again does no harm", async () => {
    const { action } = contract.healthy();
    if (action.kind !== "change" || !action.revert) return;
    expect(action.restack).toBeInstanceOf(Function);
    const plan = await planned();
    const before = await contract.state();
    await apply(contract.healthy(), plan);
    expect(await contract.state()).not.toEqual(before);
    for (let times = 0; times < 2; times++) {
      const { target } = contract.healthy();
      expect(await action.revert(plan, contextFor(target))).toMatchObject({ status: "done" });
      expect(await contract.state()).toEqual(before);
    }
  });

  test("reverting what was never applied changes nothing", async () => {
    const { action, target } = contract.healthy();
    if (action.kind !== "change" || !action.revert) return;
    const plan = await planned();
    const before = await contract.state();
    expect(await action.revert(plan, contextFor(target))).toMatchObject({ status: "done" });
    expect(await contract.state()).toEqual(before);
  });

  test("an apply that is aborted before it starts changes nothing", async () => {
    const plan = await planned();
    const before = await contract.state();
    expect(await apply(contract.healthy(), plan, AbortSignal.abort())).toMatchObject({
      status: "failed",
      retryable: true,
    });
    expect(await contract.state()).toEqual(before);
  });

  const { midway } = contract;
  if (midway) {
    test("an apply that is stopped inside its work ends soon, tells no more than it knows, and can be made again", async () => {
      const plan = await planned();
      const before = await contract.state();
      const { action, target } = contract.healthy();
      if (action.kind !== "change") throw new Error(`${action.name} changes nothing`);
      const held = await midway.hold();
      try {
        const stopped = (signal: AbortSignal) => apply(held.subject ?? { action, target }, plan, signal);
        const outcome = await abortedWhile(stopped, () => until(held.inside, { what: "it to stand still" }), graceMs);
        const unchanged = { status: "failed", retryable: true };
        expect(outcome).toMatchObject(midway.told === "unchanged" ? unchanged : midway.told);
        await held.ended?.();
        if (midway.told === "unchanged") expect(await contract.state()).toEqual(before);
      } finally {
        await held.release();
      }
      expect(await action.probe?.(plan, contextFor(target))).toBe(midway.probed);
      if (midway.probed === "applied") return;
      const again = await run({ action, target });
      if (again.status !== "planned") throw new Error(JSON.stringify(again));
      expect(await apply({ action, target }, again.plan as never)).toMatchObject({ status: "done" });
    }, 60_000);
  }

  const { at, gone } = contract;
  if (at) {
    test("an apply to a system that does not answer obeys an abort promptly", async () => {
      const plan = await planned();
      const silent = await listenSilently();
      try {
        const result = await abortedWhile(
          (signal) => apply(at(silent.port), plan, signal),
          () => silent.connected,
        );
        expect(result).toMatchObject(contract.unheard ? { status: "unknown" } : { status: "failed", retryable: true });
      } finally {
        await silent.close();
      }
    });

    test("an apply to a system that has vanished is a clear failure", async () => {
      const plan = await planned();
      const port = await freePort();
      const result = await apply(at(port), plan);
      expect(result).toMatchObject({ status: "failed", reason: expect.stringContaining(`127.0.0.1:${port}`) });
    });
  }

  if (gone) {
    test("an apply to a system that has vanished is a clear failure", async () => {
      const plan = await planned();
      const { subject, named } = gone();
      const result = await apply(subject, plan);
      expect(result).toMatchObject({ status: "failed", reason: expect.stringContaining(named) });
    });
  }
}

async function look(
  action: Action,
  input: unknown,
  context: ActionContext,
): Promise<Planned<Json> | Observed<unknown>> {
  return action.kind === "observe" ? action.observe(input, context) : action.plan(input, context);
}

function parsed(action: Action, input: unknown): unknown {
  const result = action.input.safeParse(input);
  if (!result.success) throw new Error(`The contract's input is refused: ${JSON.stringify(result.error.issues)}`);
  return result.data;
}

/** The result of `act`, which is aborted as soon as `ready` resolves and must return soon after that. */
async function abortedWhile<T>(
  act: (signal: AbortSignal) => Promise<T>,
  ready: () => Promise<unknown>,
  withinMs = 1_000,
): Promise<T> {
  const abort = new AbortController();
  let early: T | undefined;
  const result = act(abort.signal).then((value) => {
    early = value;
    return value;
  });
  await Promise.race([ready(), result]);
  if (early !== undefined) throw new Error(`It ended before it was stopped: ${JSON.stringify(early)}`);
  // The connection stands; the action now waits for an answer.
  await sleep(50);
  const aborted = performance.now();
  abort.abort();
  const value = await result;
  expect(performance.now() - aborted).toBeLessThan(withinMs);
  return value;
}

/** A server that accepts connections and says nothing. */
async function listenSilently() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    connected: once(server, "connection"),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
