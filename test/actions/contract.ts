/** The contract suite: what every action must keep, against the real system it acts upon. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createActions } from "../../src/actions/registry.ts";
import type { Action, ActionContext, Failure, Observed, Outcome, Planned } from "../../src/domain/action.ts";
import type { Json } from "../../src/domain/json.ts";
import type { Target } from "../../src/domain/target.ts";
import { freePort } from "../support/free-port.ts";
import { sleep } from "../support/until.ts";
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
  /** What observing and planning must leave as it is, and a second apply must not change again. */
  readonly state: () => Promise<unknown>;
}

const registry = createActions({ prometheusUrl: null });

/** Defines the tests of the contract for one action of the registry. Throws where a part of the contract has no test. */
export function describeContract(name: string, contract: Contract): void {
  const { kind } = registry.get(name) ?? {};
  if (kind === undefined) throw new Error(`There is no action ${name}`);
  if (kind === "change" && !contract.arrange) throw new Error(`The contract of ${name} arranges nothing to change`);
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
          const result = await abortedWhile((signal) => run(at(silent.port), signal), silent.connected);
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

  const { at, gone } = contract;
  if (at) {
    test("an apply to a system that does not answer obeys an abort promptly", async () => {
      const plan = await planned();
      const silent = await listenSilently();
      try {
        const result = await abortedWhile((signal) => apply(at(silent.port), plan, signal), silent.connected);
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

/** The result of `act`, which is aborted as soon as `ready` resolves and must return within a second of that. */
async function abortedWhile<T>(act: (signal: AbortSignal) => Promise<T>, ready: Promise<unknown>): Promise<T> {
  const abort = new AbortController();
  const result = act(abort.signal);
  await ready;
  // The connection stands; the action now waits for an answer.
  await sleep(50);
  const aborted = performance.now();
  abort.abort();
  const value = await result;
  expect(performance.now() - aborted).toBeLessThan(1_000);
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
