/** Mitigations of the whole service: put back after restarts, after crashes at the worst moments and without Redis; decided from the command line. */

import { join } from "node:path";
import { builtProgram } from "../support/built.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { startNode } from "../support/process.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { type Service, type ServiceOptions, startService, tokens } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward } from "../support/ward.ts";

jest.setTimeout(120_000);

const isolate = `
name: isolate
summary: Move the patient to another bed for a time.
on: { alerts: ['alertname="isolate"'] }
target: { label: service }
escalate: database
steps:
  - { id: move, do: ward.move, with: { bed: isolation }, revert_after: 12h }
verify:
  - { do: ward.look, expect: output.sick, within: 2s, every: 1s }
`;

async function optionsOf(ward: Ward): Promise<ServiceOptions & { readonly databaseUrl: string }> {
  return {
    program: "counting",
    databaseUrl: (await sharedPostgres()).url,
    targets: ward.targets(3),
    playbooks: [isolate],
  };
}

/** As if the twelve hours were over. */
const timeIsOver = (databaseUrl: string) => query(databaseUrl, "UPDATE paramedic.mitigations SET revert_at = now()");

interface Listed {
  readonly id: string;
  readonly runId: string;
  readonly state: string;
  readonly revertRun: string | null;
}

async function mitigationOf(service: Service, run: string): Promise<Listed> {
  const { body } = await service.api("GET", "/api/v1/mitigations");
  const found = (body.mitigations as readonly Listed[]).find(({ runId }) => runId === run);
  if (!found) throw new Error(`run ${run} has no mitigation: ${JSON.stringify(body)}`);
  return found;
}

async function reverted(service: Service, run: string): Promise<Listed> {
  return await until(
    async () => {
      const now = await mitigationOf(service, run);
      return now.state === "reverted" ? now : null;
    },
    {
      timeoutMs: 30_000,
      what: () => `the mitigation of ${run} to be put back: ${service.child.output().slice(-3_000)}`,
    },
  );
}

test.each(["after-intent", "after-effect", "before-end"])(
  "stopped while it is in force, killed by itself at %s of putting back: once started again, it is put back once",
  async (point) => {
    const ward = await createWard();
    const options = await optionsOf(ward);
    const service = await startService(options);
    const run = await service.fire({ alertname: "isolate", service: "w1" });
    expect(await service.ended(run)).toMatchObject({ outcome: "fixed" });
    await service.stop();
    await timeIsOver(options.databaseUrl);
    expect(await ward.moves("w1")).toEqual(["isolation"]);

    await service.start({ STOP_AT: point });
    expect(await service.died()).toMatchObject({ signal: "SIGKILL" });
    expect(await ward.moves("w1")).toEqual(point === "after-intent" ? ["isolation"] : ["isolation", "ward"]);

    await service.start();
    const { revertRun } = await reverted(service, run);
    const story = await service.ended(revertRun as string);
    expect(story).toMatchObject({ outcome: "fixed", trigger: { kind: "mitigation", run, step: "move" } });
    expect(story.events.map(({ type }) => type)).toContain("taken-over");
    // The steps of the playbook that it does not do are not among its own.
    expect(story.steps.map(({ id, state }) => [id, state])).toEqual([["move", "done"]]);
    expect(await ward.moves("w1")).toEqual(["isolation", "ward"]);
    await service.stop();
  },
);

redisService.describe("while Redis is away", () => {
  const afterwards = cleaningUp();

  test("it is put back all the same", async () => {
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const ward = await createWard();
    const options = await optionsOf(ward);
    const service = await startService({ ...options, redisUrl: redis.url });
    await service.ready();
    const run = await service.fire({ alertname: "isolate", service: "w1" });
    expect(await service.ended(run)).toMatchObject({ outcome: "fixed" });
    await redis.kill();
    await timeIsOver(options.databaseUrl);
    await reverted(service, run);
    expect(await ward.moves("w1")).toEqual(["isolation", "ward"]);
    await service.stop();
  });
});

test("the command line lists what is changed for a time, has it put back, and keeps it", async () => {
  const ward = await createWard();
  const service = await startService(await optionsOf(ward));
  const paramedic = async (args: readonly string[], token = tokens.approver) => {
    const child = await startNode(join(await builtProgram(), "cli.js"), args, {
      env: { PATH: process.env["PATH"] ?? "", PARAMEDIC_URL: service.url, PARAMEDIC_TOKEN: token },
    });
    const { code } = await child.exited;
    return { code, output: child.output() };
  };

  expect(await paramedic(["mitigations"])).toMatchObject({
    code: 0,
    output: expect.stringContaining("nothing is changed"),
  });
  const runs = [];
  for (const target of ["w1", "w2"]) runs.push(await service.fire({ alertname: "isolate", service: target }));
  for (const run of runs) await service.ended(run);
  const [first, second] = [
    await mitigationOf(service, runs[0] as string),
    await mitigationOf(service, runs[1] as string),
  ];
  const listed = await paramedic(["mitigations"], tokens.operator);
  expect(listed.output).toMatch(
    new RegExp(`${first.id}\\s+in-force, put back at \\S+Z\\s+isolate on w1\n\\s+move from ward to isolation`),
  );
  expect(listed.output).toContain(second.id);
  expect(JSON.parse((await paramedic(["mitigations", "--json"])).output).mitigations).toHaveLength(2);

  expect((await paramedic(["revert", first.id])).code).toBe(2);
  expect(await paramedic(["revert", first.id, "--reason", "it is over"], tokens.operator)).toMatchObject({
    code: 0,
    output: expect.stringContaining("put back now"),
  });
  const { revertRun } = await reverted(service, runs[0] as string);
  expect((await paramedic(["show", revertRun as string])).output).toContain("it is over");
  expect(await ward.moves("w1")).toEqual(["isolation", "ward"]);

  expect((await paramedic(["keep", second.id, "--reason", "it helps"], tokens.operator)).code).toBe(1);
  expect(await paramedic(["keep", second.id, "--reason", "it helps"])).toMatchObject({
    code: 0,
    output: expect.stringContaining("it stays"),
  });
  expect((await paramedic(["revert", second.id, "--reason", "late"])).output).toContain("It is kept");
  expect((await paramedic(["mitigations"])).output).toContain("nothing is changed");
  const all = await paramedic(["mitigations", "--all"]);
  expect(all.output).toMatch(new RegExp(`${second.id}\\s+kept`));
  expect(all.output).toMatch(new RegExp(`${first.id}\\s+reverted by run ${revertRun}`));
  expect((await paramedic(["show", runs[1] as string])).output).toContain(
    "api:approver keeps what was changed for a time: it helps",
  );
  await service.stop();
});
