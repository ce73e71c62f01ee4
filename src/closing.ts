/** The order in which a process lets go of what it has opened. */

import type { Logger } from "./log.ts";

type Close = () => Promise<unknown>;

export interface Closing {
  /** Something that takes new work in: all of these are closed first and together, so that the drain begins at once. */
  door(close: Close): void;
  /** What the doors need: closed after them, the last opened first. */
  afterDoors(close: Close): void;
  /** Closes everything; what cannot be closed is said and left behind. */
  all(): Promise<void>;
}

export function createClosing(log: Logger): Closing {
  const doors: Close[] = [];
  const rest: Close[] = [];
  return {
    door: (close) => void doors.push(close),
    afterDoors: (close) => void rest.unshift(close),
    all: async () => {
      const attempt = (close: Close) =>
        close().catch((error: Error) => log.warn({ err: error }, "something could not be closed in order"));
      await Promise.all(doors.map(attempt));
      for (const close of rest) await attempt(close);
    },
  };
}
