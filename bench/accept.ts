/** How many alerts are accepted durably, beside Express with one statement that inserts the same rows. */

import { migrate } from "../src/store/migrate.ts";
import { type Ground, token } from "./ground.ts";
import type { rawReceiver } from "./process/express.ts";
import type { load } from "./process/load.ts";
import { startReceiver } from "./programs.ts";
import { compare, figure, type Row } from "./row.ts";
import { median } from "./statistics.ts";
import { type Partner, startPartner } from "./talk.ts";

const rounds = 5;
const seconds = 2;
const connections = 32;

export async function accept(ground: Ground): Promise<readonly Row[]> {
  const place = { databaseUrl: await ground.newDatabase(), redisUrl: ground.redisUrl };
  const receiver = await startReceiver(ground, place);
  const rawUrl = await ground.newDatabase();
  await migrate(rawUrl);
  const raw = await startPartner<typeof rawReceiver>("express", { DATABASE_URL: rawUrl });
  const generator = await startPartner<typeof load>("load");
  const ours = floods(generator, receiver.url);
  const theirs = floods(generator, await raw.ask("url", null));

  const rows: Row[] = [];
  for (const alerts of [1, 20]) {
    await theirs(alerts);
    await ours(alerts);
    const results = { ours: [] as Flooded[], theirs: [] as Flooded[] };
    for (let round = 0; round < rounds; round++) {
      results.theirs.push(await theirs(alerts));
      results.ours.push(await ours(alerts));
    }
    const row = {
      ...rowOf(alerts, results.ours),
      baseline: median(results.theirs.map((one) => one.perSecond)) * alerts,
    };
    rows.push(compare(row, { atLeast: 0.6 }));
  }
  await Promise.all([receiver.child.stop(), raw.child.stop(), generator.child.stop()]);
  return rows;
}

/** The same on the default without Redis, where the queue is in Postgres too. */
export async function acceptWithoutRedis(ground: Ground): Promise<readonly Row[]> {
  const receiver = await startReceiver(ground, { databaseUrl: await ground.newDatabase(), redisUrl: null });
  const generator = await startPartner<typeof load>("load");
  const ours = floods(generator, receiver.url);
  const rows: Row[] = [];
  for (const alerts of [1, 20]) {
    await ours(alerts);
    const row = rowOf(alerts, [await ours(alerts), await ours(alerts), await ours(alerts)]);
    rows.push(figure({ ...row, what: `${row.what}, no Redis` }));
  }
  await Promise.all([receiver.child.stop(), generator.child.stop()]);
  return rows;
}

interface Flooded {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Floods that never send the same alert twice. */
function floods(generator: Partner<typeof load>, url: string): (alerts: number) => Promise<Flooded> {
  let first = 0;
  return async (alerts) => {
    const flooded = await generator.ask("flood", { url, token, connections, seconds, alerts, first });
    first += flooded.sent * alerts;
    return flooded;
  };
}

function rowOf(alerts: number, floods: readonly Flooded[]) {
  return {
    what: `accept, ${alerts} ${alerts === 1 ? "alert" : "alerts"} a body`,
    unit: "alerts/s",
    ours: median(floods.map((one) => one.perSecond)) * alerts,
    p50: median(floods.map((one) => one.p50)),
    p99: median(floods.map((one) => one.p99)),
  };
}
