/** Workers on hosts: real processes, some started with `--host app-1`, and steps that must be done there. */

import type { RunEvent } from "../../src/domain/event.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward } from "../support/ward.ts";

jest.setTimeout(120_000);

/** Steps that can be done from anywhere and steps that must be done on the host, in turn. */
const inTurn = (name: string, step = "") => `
name: ${name}
summary: Heal the patient at their bed.
on: { alerts: ['alertname="${name}"'] }
target: { label: service }
escalate: database
steps:
  - { id: first, do: ward.touch, with: { mark: first, ms: 300 } }
  - { id: second, do: ward.touch-at-host, with: { mark: at-host } }
  - { id: third, do: ward.touch, with: { mark: third } }
  - { id: heal, do: ward.heal-at-host ${step} }
verify:
  - { do: ward.look, expect: '!output.sick', within: 2s, every: 1s }
`;

const playbooks = [
  inTurn("turns"),
  inTurn("asks", ", approval: always"),
  inTurn("long", ", with: { afterMs: 600000 }, timeout: 1h"),
];

interface House {
  readonly ward: Ward;
  /** A process without a host, or of one. */
  start(host?: string, over?: Partial<ServiceOptions>): Promise<Service>;
}

async function house(shared: Partial<ServiceOptions> = {}): Promise<House> {
  const ward = await createWard();
  const databaseUrl = (await sharedPostgres()).url;
  const { worker, ...rest } = shared;
  return {
    ward,
    start: (host, over = {}) =>
      startService({
        program: "counting",
        databaseUrl,
        targets: ward.targets(6, "app-1"),
        playbooks,
        ...(host !== undefined && { host, role: "worker" as const }),
        ...rest,
        ...over,
        worker: { hostWait: "60s", ...worker, ...over.worker },
      }),
  };
}

const ofType = <T extends RunEvent["type"]>(events: readonly RunEvent[], type: T) =>
  events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type);

async function leftToHost(service: Service, run: string): Promise<void> {
  await until(async () => ofType((await service.run(run)).events, "moved-to-host").length > 0, {
    timeoutMs: 20_000,
    what: () => `run ${run} to be left to its host: ${service.child.output().slice(-3_000)}`,
  });
}

/** Which processes left which mark on the target. */
async function byWhom(ward: Ward, target: string): Promise<Record<string, number>> {
  return Object.fromEntries((await ward.touches(target)).map(({ mark, pid }) => [mark, pid]));
}

redisService.describe("with hints in Redis", () => {
  const afterwards = cleaningUp();

  test("each step is done where it must be, by whichever worker is free, and so it is while Redis is away", async () => {
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const { ward, start } = await house({ redisUrl: redis.url, worker: { concurrency: 1 } });
    const [general, atHost] = [await start(), await start("app-1")];
    await Promise.all([general.ready(), atHost.ready()]);

    const targets = ["w1", "w2", "w3", "w4"];
    const { body } = await general.notify(targets.map((service) => ({ labels: { alertname: "turns", service } })));
    const runs: readonly string[] = body.runs.map(({ id }: { id: string }) => id);
    const ended = await Promise.all(runs.map((run) => general.ended(run, 30_000)));
    expect(ended.map(({ outcome }) => outcome)).toEqual(targets.map(() => "fixed"));
    const firsts = new Set<number>();
    for (const target of targets) {
      const marks = await byWhom(ward, target);
      expect(marks).toMatchObject({ "at-host": atHost.child.pid });
      expect(await ward.applies(target)).toEqual([atHost.child.pid]);
      firsts.add(marks["first"] as number);
    }
    // Both take what can be done from anywhere: while one of them is at work, the other one is free.
    expect([...firsts].sort()).toEqual([general.child.pid, atHost.child.pid].sort());
    const moved = ended.filter(({ events }) => ofType(events, "moved-to-host").length > 0);
    expect(moved.length).toBeGreaterThan(0);
    for (const { events } of moved) {
      const types = events.map(({ type }) => type);
      // Between two steps, and taken at once.
      expect(types.slice(types.indexOf("step-observed"), types.indexOf("arrived-at-host") + 1)).toEqual([
        "step-observed",
        "moved-to-host",
        "arrived-at-host",
      ]);
      expect(ofType(events, "arrived-at-host")[0]).toMatchObject({
        host: "app-1",
        worker: `app-1/${atHost.child.pid}`,
      });
    }

    await redis.kill();
    const away = await general.notify(["w5", "w6"].map((service) => ({ labels: { alertname: "turns", service } })));
    for (const { id } of away.body.runs) expect(await general.ended(id, 40_000)).toMatchObject({ outcome: "fixed" });
    for (const target of ["w5", "w6"]) expect(await ward.applies(target)).toEqual([atHost.child.pid]);
    await Promise.all([general.stop(), atHost.stop()]);
  });
});

test("a worker of the host that comes late takes what was left to it, and after an approval again", async () => {
  const { ward, start } = await house();
  const general = await start();
  const run = await general.fire({ alertname: "asks", service: "w1" });
  await leftToHost(general, run);
  expect(await byWhom(ward, "w1")).toEqual({ first: general.child.pid });
  expect(await general.run(run)).toMatchObject({ state: "ready" });

  const atHost = await start("app-1");
  await until(async () => (await general.run(run)).waitingFor === "approval", { what: "the run to ask" });
  expect(await byWhom(ward, "w1")).toMatchObject({ "at-host": atHost.child.pid });
  // The one who takes it from there may be anybody; the change is for the host's worker again.
  const [approval] = (await general.run(run)).approvals;
  await general.api("POST", `/api/v1/approvals/${approval?.id}`, { decision: "approve", digest: approval?.digest });
  expect(await general.ended(run)).toMatchObject({ outcome: "fixed" });
  expect(await ward.applies("w1")).toEqual([atHost.child.pid]);
  await Promise.all([general.stop(), atHost.stop()]);
});

test("where no worker of the host comes in time, people are told, and nothing was changed", async () => {
  const { ward, start } = await house({ worker: { hostWait: "2s" } });
  const [general, elsewhere] = [await start(), await start("app-2")];
  const run = await general.fire({ alertname: "turns", service: "w1" });
  const ended = await general.ended(run);
  expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("no worker of the host app-1") });
  expect(ended.reason).toContain("paramedic serve --role worker --host app-1");
  expect(ofType(ended.events, "escalated")).toMatchObject([{ policy: "database" }]);
  const moved = ofType(ended.events, "moved-to-host");
  expect(moved.map(({ host }) => host)).toEqual(["app-1"]);
  const waited = Date.parse(ended.endedAt ?? "") - Date.parse(moved[0]?.at ?? "");
  expect(waited).toBeGreaterThanOrEqual(2_000);
  expect(waited).toBeLessThan(15_000);
  expect(await ward.applies("w1")).toEqual([]);
  await Promise.all([general.stop(), elsewhere.stop()]);
});

test("a worker of the host that is killed at work is followed by another one there", async () => {
  const { ward, start } = await house();
  const [general, one, two] = [await start(), await start("app-1"), await start("app-1")];
  const run = await general.fire({ alertname: "long", service: "w1" });
  await until(async () => (await ward.effects("w1")).length > 0, { timeoutMs: 20_000, what: "the effect" });
  const [pid] = await ward.effects("w1");
  const victim = [one, two].find(({ child }) => child.pid === pid);
  const survivor = [one, two].find(({ child }) => child.pid !== pid);
  if (!victim || !survivor) throw new Error(`process ${pid} is none of the host's`);
  await victim.kill();
  const ended = await general.ended(run, 40_000);
  expect(ended).toMatchObject({ outcome: "fixed" });
  expect(ofType(ended.events, "taken-over").length).toBeGreaterThan(0);
  // Looked into on the host, and found to be done.
  expect(await ward.effects("w1")).toEqual([pid]);
  const types = ended.events.map(({ type }) => type);
  expect(types.lastIndexOf("step-planned")).toBeGreaterThan(types.lastIndexOf("taken-over"));
  await Promise.all([general.stop(), survivor.stop()]);
});

test("a run that waits for its host ends at once when it is cancelled", async () => {
  const { ward, start } = await house();
  const general = await start();
  const run = await general.fire({ alertname: "turns", service: "w1" });
  await leftToHost(general, run);
  expect((await general.api("POST", `/api/v1/runs/${run}/cancel`, { reason: "a test" })).status).toBe(200);
  expect(await general.ended(run, 5_000)).toMatchObject({ outcome: "cancelled" });
  // It does not keep its target: the next run gets there too.
  const next = await general.fire({ alertname: "turns", service: "w1" });
  await leftToHost(general, next);
  expect(await ward.applies("w1")).toEqual([]);
  await general.stop();
});
