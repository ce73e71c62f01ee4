/** Row 15: a run whose workers keep dying is handed to people after two take-overs; no limit of the queue decides. */

import { sharedPostgres } from "../support/postgres.ts";
import { killServices, startService } from "../support/service.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(90_000);
afterEach(killServices);

test.each([
  // Nothing of the step is stored before the worker dies.
  ["before-plan", "failed"],
  ["after-intent", "unknown"],
] as const)(
  "three workers killed at %s: the fourth does not try again, and the run ends %s",
  async (point, outcome) => {
    const ward = await createWard();
    const service = await startService({
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      targets: ward.targets(1),
      playbooks: [wardPlaybook("sick")],
      worker: { lease: "1s", reconcileEvery: "1s" },
      env: { STOP_AT: point },
    });
    const id = await service.fire({ alertname: "sick", service: "w1" });
    expect((await service.died()).signal).toBe("SIGKILL");
    for (let again = 0; again < 2; again += 1) {
      // It may die before it has said that it is up.
      await service.start().catch(() => undefined);
      expect((await service.died()).signal).toBe("SIGKILL");
    }
    await service.start();
    const run = await service.ended(id);
    expect(run).toMatchObject({ outcome });
    expect(run.events.filter(({ type }) => type === "taken-over")).toHaveLength(3);
    expect(run.events.map(({ type }) => type)).toContain("escalated");
    expect(await ward.effects()).toEqual([]);
    await service.stop();
  },
);
