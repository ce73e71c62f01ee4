/** How a benchmark talks to the processes it starts: one question over IPC, one answer. */

import { openSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, startNode } from "../test/support/process.ts";
import { temporaryFolder } from "../test/support/run-folder.ts";

/** Questions by name, each with what it is given and what it answers. */
export type Protocol = Readonly<Record<string, (given: never) => unknown>>;

type Given<P extends Protocol, Name extends keyof P> = Parameters<P[Name]> extends [] ? null : Parameters<P[Name]>[0];
type Answer<P extends Protocol, Name extends keyof P> = Awaited<ReturnType<P[Name]>>;

export interface Partner<P extends Protocol> {
  readonly child: Child;
  ask<Name extends keyof P & string>(name: Name, given: Given<P, Name>): Promise<Answer<P, Name>>;
}

interface Question {
  readonly id: number;
  readonly name: string;
  readonly given: unknown;
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** Starts `process/<name>.js` with this environment beside ours and resolves once it listens. Its log goes to a file. */
export async function startPartner<P extends Protocol>(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Partner<P>> {
  const script = fileURLToPath(new URL(`./process/${name}.js`, import.meta.url));
  const log = openSync(join(await temporaryFolder("bench"), `${name}.log`), "a");
  const child = await startNode(script, [], { stdio: ["ignore", log, log, "ipc"], env: { ...process.env, ...env } });
  const waiting = new Map<number, (reply: Reply) => void>();
  const ready = new Promise<void>((resolve, reject) => {
    child.process.on("message", (message: Reply | "ready") => {
      if (message === "ready") return resolve();
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
    });
    child.exited.then((exit) => {
      const error = `${name} ended with ${JSON.stringify(exit)}`;
      reject(new Error(error));
      for (const [id, settle] of waiting) settle({ id, error });
    });
  });
  await ready;
  let questions = 0;
  return {
    child,
    ask: (asked, given) =>
      new Promise((resolve, reject) => {
        questions += 1;
        const question: Question = { id: questions, name: asked, given };
        waiting.set(questions, (reply) => {
          if (reply.error !== undefined) reject(new Error(`${name}: ${reply.error}`));
          else resolve(reply.answer as Answer<P, typeof asked>);
        });
        child.process.send(question);
      }),
  };
}

/** The other end: answers questions until the process is told to end. Returns the same protocol, for its type. */
export function answerQuestions<P extends Protocol>(protocol: P): P {
  process.on("message", async (question: Question) => {
    const reply = await replyTo(protocol, question);
    process.send?.(reply);
  });
  for (const end of ["disconnect", "SIGTERM"] as const) process.on(end, () => process.exit(0));
  process.send?.("ready");
  return protocol;
}

async function replyTo(protocol: Protocol, { id, name, given }: Question): Promise<Reply> {
  try {
    const answer = protocol[name] as (given: unknown) => unknown;
    return { id, answer: await answer(given) };
  } catch (error) {
    return { id, error: (error as Error).stack ?? String(error) };
  }
}

/** Milliseconds by a clock that all processes of the machine share (CLOCK_MONOTONIC on Linux). */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
