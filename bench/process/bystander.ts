/** Somebody else who uses a Redis: one GET after the other, and how long each took. */

import { Redis } from "ioredis";
import { answerQuestions } from "../talk.ts";

const pauseMs = 1;

const redis = new Redis(process.env["REDIS_URL"] as string);
let times: number[] = [];
let asking = false;
let ended = Promise.resolve();

async function ask(): Promise<void> {
  while (asking) {
    const started = performance.now();
    await redis.get("bystander");
    times.push(performance.now() - started);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

export const bystander = answerQuestions({
  begin: () => {
    times = [];
    asking = true;
    ended = ask();
  },
  /** The times of all GETs since `begin`, in milliseconds. */
  end: async () => {
    asking = false;
    await ended;
    return times;
  },
});
