/** Reads Redis's INFO. */

import type { Redis } from "ioredis";

/** The numbers of some sections of INFO, by name; 0 for what this Redis does not tell. */
export type Numbers = (name: string) => number;

export async function readInfo(redis: Redis, ...sections: readonly string[]): Promise<Numbers> {
  const found = new Map<string, number>();
  for (const section of sections) {
    for (const line of (await redis.info(section)).split("\r\n")) {
      const [name, value] = line.split(":");
      if (name !== undefined && value !== undefined && value !== "") found.set(name, Number(value));
    }
  }
  return (name) => {
    const value = found.get(name);
    return value === undefined || !Number.isFinite(value) ? 0 : value;
  };
}
