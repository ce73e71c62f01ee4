/** The night's work, by its schedule and by request: statistics are renewed, old logs deleted, and a disk that fills up is handed over. */

import { existsSync } from "node:fs";
import { rename, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mailsTo } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

/** The folder of logs is this test's own, and how much room the disk must have is what it has, or more than there is. */
async function startNight(leastFreePercent: string): Promise<{ readonly stack: Stack; readonly logs: string }> {
  let logs = "";
  const hurry: [string, string][] = [
    ["leastFreePercent > 10", `leastFreePercent > ${leastFreePercent}`],
    ["leastFreePercent < 10", `leastFreePercent < ${leastFreePercent}`],
  ];
  const stack = await startStack({
    playbook: "daily-maintenance",
    hurry,
    prepare: async ({ env }) => {
      logs = dirname(env["YT3_LOG_FILE"] as string);
      hurry.push(["/var/log/youtility3", logs]);
    },
  });
  return { stack, logs };
}

stackServices.describe("daily-maintenance", () => {
  let night: Awaited<ReturnType<typeof startNight>>;
  beforeAll(async () => {
    night = await startNight("0");
    for (const [name, days] of [
      ["old.log", 8],
      ["new.log", 6],
      ["old.txt", 8],
    ] as const) {
      const file = join(night.logs, name);
      await writeFile(file, "a line\n");
      const then = new Date(Date.now() - days * 86_400_000);
      await utimes(file, then, then);
    }
  });
  afterAll(() => night?.stack.stop());

  test("by its schedule statistics are renewed and logs of more than a week deleted, announced before, and nobody is asked", async () => {
    const { stack, logs } = night;
    const ended = await stack.ended(await stack.scheduled());
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect((ended.trigger as { due?: string }).due?.slice(11)).toBe("02:00:00.000Z");
    expect(resultOf(ended, "analyze").analyzed.length).toBeGreaterThan(0);
    expect(["old.log", "new.log", "old.txt"].filter((name) => existsSync(join(logs, name)))).toEqual([
      "new.log",
      "old.txt",
    ]);
    const [analyzed] = await stack.sql("SELECT last_analyze FROM pg_stat_all_tables WHERE relname = 'core_ticket'");
    expect(analyzed?.["last_analyze"]).toBeInstanceOf(Date);
    const at = (type: string) => ended.events.findIndex((event) => event.type === type);
    expect(at("announcing")).toBeGreaterThan(0);
    expect(at("announcing")).toBeLessThan(at("step-started"));
  });

  test("asked for again it finds nothing to delete, says so, and tells nobody", async () => {
    const { stack } = night;
    const ended = await stack.ended(await stack.request({}));
    expect(ended.steps.find(({ id }) => id === "logs")?.state).toBe("nothing-to-do");
    expect(mailsTo(stack.callers, "infra@youtility.com")).toEqual([]);
  });

  test("where the folder of the logs is not there, that is said", async () => {
    const { stack, logs } = night;
    const hidden = `${logs}.away`;
    await rename(logs, hidden);
    const ended = await stack.ended(await stack.request({}));
    await rename(hidden, logs);
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining(logs) });
  });
});

stackServices.describe("daily-maintenance on a disk that fills up", () => {
  let night: Awaited<ReturnType<typeof startNight>>;
  beforeAll(async () => {
    night = await startNight("100");
  });
  afterAll(() => night?.stack.stop());

  test("is told to the infrastructure's people, and handed over with what takes the room", async () => {
    const { stack } = night;
    const ended = await stack.ended(await stack.request({}));
    expect(ended).toMatchObject({ outcome: "ineffective", reason: expect.stringContaining("leastFreePercent > 100") });
    expect(resultOf(ended, "before").folders.map(({ folder }: { folder: string }) => folder)).toContain(night.logs);
    for (const people of ["infra@youtility.com", "dba-team@youtility.com"]) {
      await until(() => mailsTo(stack.callers, people).some((mail) => mail.includes(ended.id)), { what: "a mail" });
    }
  });
});
