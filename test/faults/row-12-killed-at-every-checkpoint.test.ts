/** Row 12: a worker is killed at each named point of a run; another one ends the run truthfully, and no effect happens twice. */

import type { RunView } from "../../src/api/run-view.ts";
import type { Checkpoint } from "../../src/playbooks/world.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis, type TestRedis } from "../support/redis.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

// It starts thirty processes, four at a time.
jest.setTimeout(300_000);

/** Every checkpoint there is; one that is added to the type is missed here by the type check. */
const checkpoints: Readonly<Record<Checkpoint, true>> = {
  claimed: true,
  "before-observe": true,
  "after-observe": true,
  "before-plan": true,
  "after-plan": true,
  "after-ask": true,
  "before-intent": true,
  "after-intent": true,
  "after-effect": true,
  "before-verify": true,
  "after-verify": true,
  "before-end": true,
  "after-end": true,
};
const points = Object.keys(checkpoints) as Checkpoint[];

const kinds = ["safe", "once", "blind"] as const;
type Kind = (typeof kinds)[number];

/** A `once` step that cannot tell what it did differs from one that can only where the effect is in doubt. */
const cases = points.flatMap((point) =>
  kinds
    .filter((kind) => kind !== "blind" || point === "after-intent" || point === "after-effect")
    .map((kind) => ({ point, kind })),
);
const actionOf: Readonly<Record<Kind, string>> = {
  safe: "ward.heal",
  once: "ward.heal-once",
  blind: "ward.heal-blind",
};
const targetOf = (point: Checkpoint, kind: Kind) =>
  `w${cases.findIndex((one) => one.point === point && one.kind === kind) + 1}`;

redisService.describe("a worker that is killed at any point of a run", () => {
  let redis: TestRedis;
  let ward: Ward;
  let databaseUrl: string;
  let survivor: Service;
  const runs = new Map<string, string>();
  const died = new Map<string, string | null>();

  beforeAll(async () => {
    [redis, ward] = [await startRedis({ args: ["--databases", "100"] }), await createWard()];
    databaseUrl = (await sharedPostgres()).url;
    // Each victim has a queue of its own and does not look for lost runs: it works on its own run and no other.
    for (let next = 0; next < cases.length; next += 4) await Promise.all(cases.slice(next, next + 4).map(killOne));
    survivor = await startService({ ...options(), redisUrl: redis.url });
  });

  afterAll(async () => {
    await survivor?.stop();
    await redis?.stop();
  });

  function options(): ServiceOptions {
    return {
      program: "counting",
      databaseUrl,
      targets: ward.targets(cases.length),
      playbooks: kinds.flatMap((kind) => [
        wardPlaybook(kind, { heal: actionOf[kind] }),
        wardPlaybook(`${kind}-asks`, { heal: actionOf[kind], step: "approval: always" }),
      ]),
      worker: { lease: "2s", reconcileEvery: "1s" },
    };
  }

  async function killOne({ point, kind }: (typeof cases)[number]): Promise<void> {
    const target = targetOf(point, kind);
    const victim = await startService({
      ...options(),
      redisUrl: `${redis.url}/${cases.findIndex((one) => one.point === point && one.kind === kind) + 1}`,
      worker: { lease: "2s", reconcileEvery: "1h" },
      env: { STOP_AT: point },
    });
    await victim.ready();
    runs.set(target, await victim.fire({ alertname: point === "after-ask" ? `${kind}-asks` : kind, service: target }));
    died.set(target, (await victim.died()).signal);
  }

  async function storyOf(target: string): Promise<RunView> {
    const id = runs.get(target) as string;
    const settled = await until(
      async () => {
        const now = await survivor.run(id);
        return now.state === "ended" || now.waitingFor === "approval" ? now : null;
      },
      { timeoutMs: 30_000, what: () => `run ${id} to settle: ${survivor.child.output().slice(-3_000)}` },
    );
    const approval = settled.approvals[0];
    if (settled.state === "ended" || !approval) return settled;
    const { status } = await survivor.api("POST", `/api/v1/approvals/${approval.id}`, {
      decision: "approve",
      digest: approval.digest,
    });
    expect(status).toBe(200);
    return await survivor.ended(id);
  }

  test.each(cases)(
    "at $point of a $kind step: the run ends truthfully, the effect happens at most once",
    async ({ point, kind }) => {
      const target = targetOf(point, kind);
      expect(died.get(target)).toBe("SIGKILL");
      const run = await storyOf(target);
      const effects = await ward.effects(target);
      if (kind === "blind" && (point === "after-intent" || point === "after-effect")) {
        expect(run).toMatchObject({ state: "ended", outcome: "unknown" });
        expect(run.events.map(({ type }) => type)).toContain("escalated");
        expect(effects).toHaveLength(point === "after-effect" ? 1 : 0);
        return;
      }
      expect(run).toMatchObject({ state: "ended", outcome: "fixed" });
      expect(effects).toHaveLength(1);
      expect(await ward.applies(target)).toHaveLength(1);
      expect(run.events.filter(({ type }) => type === "taken-over")).toHaveLength(
        point === "after-end" || point === "after-ask" ? 0 : 1,
      );
    },
  );

  test("nothing is left running or locked, and every alert has one run", async () => {
    expect(await query(databaseUrl, "SELECT id, state FROM paramedic.runs WHERE state <> 'ended'")).toEqual([]);
    expect(await query(databaseUrl, "SELECT * FROM paramedic.target_locks")).toEqual([]);
    expect(await query(databaseUrl, "SELECT count(*)::int AS count FROM paramedic.runs")).toEqual([
      { count: cases.length },
    ]);
  });
});
