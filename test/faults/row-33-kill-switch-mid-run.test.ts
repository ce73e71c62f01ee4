/** Rows 33 and 35: the kill switch, turned on while runs work, stops every worker within two seconds, and no restart turns it off. */

import { rm, writeFile } from "node:fs/promises";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { sleep, until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(90_000);

const runs = 8;
const naps = 8;
const napMs = 1_000;

/** Many steps one after the other, each of which takes a while. */
const sleepy = [
  "name: sleepy",
  "summary: Take many steps.",
  `on: { alerts: ['alertname="sleepy"'] }`,
  "target: { label: service }",
  "steps:",
  ...Array.from({ length: naps }, (_, index) => `  - { id: n${index}, do: ward.nap, with: { ms: ${napMs} } }`),
].join("\n");

redisService.describe("the kill switch", () => {
  const afterwards = cleaningUp();

  async function begunSince(ward: Ward, at: Date): Promise<number> {
    const [row] = await query(ward.url, "SELECT count(*)::int AS count FROM naps WHERE at > $1", [at]);
    return row?.["count"] as number;
  }

  async function now(ward: Ward): Promise<Date> {
    const [row] = await query(ward.url, "SELECT clock_timestamp() AS at");
    return row?.["at"] as Date;
  }

  test.each([
    ["over the API", "up"],
    ["over the API", "down"],
    ["by the pause file", "up"],
  ] as const)("turned on %s with Redis %s: no new step begins in any worker after two seconds", async (how, state) => {
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const ward = await createWard();
    const options: ServiceOptions = {
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      redisUrl: redis.url,
      targets: ward.targets(runs),
      playbooks: [sleepy],
      worker: { concurrency: runs / 2, reconcileEvery: "1s" },
    };
    const services = [await startService(options), await startService(options)];
    const [one] = services as [Service];
    await Promise.all(services.map((service) => service.ready()));
    const alerts = Object.keys(options.targets).map((service) => ({ labels: { alertname: "sleepy", service } }));
    const { body } = await one.notify(alerts);
    const ids: string[] = body.runs.map(({ id }: { id: string }) => id);
    const working = "SELECT count(DISTINCT pid)::int AS workers, count(DISTINCT target)::int AS targets FROM naps";
    await until(
      async () => {
        const [row] = await query(ward.url, working);
        return row?.["workers"] === 2 && row?.["targets"] === runs;
      },
      { what: "both workers to be at work on all runs" },
    );

    if (state === "down") await redis.kill();
    if (how === "over the API") await one.pause(true);
    else for (const { pauseFile } of services) await writeFile(pauseFile, "");
    await sleep(2_000);
    const stopped = await now(ward);
    // Longer than a step takes: a worker that had not noticed would begin its next one in this time.
    await sleep(napMs * 1.5);
    expect(await begunSince(ward, stopped)).toBe(0);
    for (const id of ids) expect(await one.run(id)).toMatchObject({ state: "waiting", waitingFor: "switch" });

    if (how === "over the API") {
      await one.pause(false);
      await until(async () => (await begunSince(ward, stopped)) >= runs, { what: "the runs to go on" });
    } else {
      for (const { pauseFile } of services) await rm(pauseFile);
    }
    await Promise.all(services.map((service) => service.kill()));
  });

  test("a restart with a default configuration leaves it on: alerts are taken, nothing is done", async () => {
    const ward = await createWard();
    const options: ServiceOptions = {
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      targets: ward.targets(1),
      playbooks: [wardPlaybook("sick")],
    };
    const before = await startService(options);
    await before.pause(true);
    await before.stop();

    const after = await startService(options);
    expect(after.folder).not.toBe(before.folder);
    expect((await after.api("GET", "/api/v1/switch")).body).toMatchObject({ paused: true, by: "api:approver" });
    const id = await after.fire({ alertname: "sick", service: "w1" });
    await until(async () => (await after.run(id)).waitingFor === "switch", { what: "the run to meet the switch" });
    expect(await ward.applies()).toEqual([]);
    await after.pause(false);
    expect((await after.ended(id)).outcome).toBe("fixed");
    await after.stop();
  });
});
