/** From the start of the process to its readiness, and the memory of a process that has nothing to do. */

import { readFileSync } from "node:fs";
import { temporaryFolder } from "../test/support/run-folder.ts";
import { sleep } from "../test/support/until.ts";
import { configurationWith, type Ground } from "./ground.ts";
import { startProgram } from "./programs.ts";
import { figure, type Row } from "./row.ts";
import { median } from "./statistics.ts";

const rounds = 5;
const settleMs = 2_000;

export async function footprint(ground: Ground): Promise<readonly Row[]> {
  const place = { databaseUrl: await ground.newDatabase(), redisUrl: ground.redisUrl };
  const options = { role: "all", configFile: ground.configFile };
  const first = await startAndStop(ground, place, options);
  const starts: Started[] = [];
  for (let round = 0; round < rounds; round++) starts.push(await startAndStop(ground, place, options));

  const embedded = {
    role: "all",
    configFile: await configurationWith(ground, `stateDir: ${await temporaryFolder("state")}`),
  };
  const nowhere = { databaseUrl: null, redisUrl: null };
  const created = await startAndStop(ground, nowhere, embedded);
  const again = await startAndStop(ground, nowhere, embedded);
  return [
    figure({ what: "start to ready, Postgres and Redis", unit: "ms", ours: median(starts.map((one) => one.readyMs)) }),
    figure({ what: "the same with an empty database", unit: "ms", ours: first.readyMs }),
    figure({ what: "start to ready, embedded default", unit: "ms", ours: again.readyMs }),
    figure({ what: "the same, creating its data", unit: "ms", ours: created.readyMs }),
    figure({ what: "idle memory, Postgres and Redis", unit: "MB", ours: median(starts.map((one) => one.idleMb)) }),
    figure({ what: "idle memory, embedded default (Node alone)", unit: "MB", ours: again.idleMb }),
  ];
}

interface Started {
  readonly readyMs: number;
  readonly idleMb: number;
}

async function startAndStop(
  ground: Ground,
  place: { readonly databaseUrl: string | null; readonly redisUrl: string | null },
  options: { readonly role: string; readonly configFile: string },
): Promise<Started> {
  const program = await startProgram(ground, place, options);
  await sleep(settleMs);
  const idleMb = residentMb(program.child.pid);
  await program.child.stop();
  return { readyMs: program.readyMs, idleMb };
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1_024;
}
