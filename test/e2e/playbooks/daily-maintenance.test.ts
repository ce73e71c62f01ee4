/** The night's work, by its schedule and by request: statistics are renewed, old logs deleted, and a disk that fills up is handed over. */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { rename, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { mailsTo } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

const run = promisify(execFile);

/** The folder of logs is this test's own, and the disk of this machine has as much room as it has. */
async function startNight(): Promise<{ readonly stack: Stack; readonly logs: string }> {
  let logs = "";
  const hurry: [string, string][] = [
    ["leastFreePercent > 10", "leastFreePercent > 0"],
    ["leastFreePercent < 10", "leastFreePercent < 0"],
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
    night = await startNight();
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

stackServices.describe("daily-maintenance on a disk that fills up, and left out while nobody was there", () => {
  let stack: Stack;
  let logs: string;
  beforeAll(async () => {
    // Half a day from now, so that what was missed was missed by hours, and as it ships: it is not made up for.
    const hour = (new Date().getUTCHours() + 12) % 24;
    const hurry: [string, string][] = [
      ["missed: run", "missed: skip"],
      ["0 2 * * *", `0 ${hour} * * *`],
    ];
    stack = await startStack({
      playbook: "daily-maintenance",
      hurry,
      adapt: (target) => ({ ...target, files: { folders: [logs] } }),
      prepare: async ({ env }) => {
        logs = dirname(env["YT3_LOG_FILE"] as string);
        hurry.push(["/var/log/youtility3", logs]);
        await run("mount", ["-t", "tmpfs", "-o", "size=8m,nr_inodes=100,mode=755", "tmpfs", logs]);
      },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    if (logs) await run("umount", ["--lazy", logs]);
  });

  /** The run is handed over by this check, with what takes the room, and the infrastructure's people were told of it. */
  async function expectHandedOver(check: string): Promise<void> {
    const ended = await stack.ended(await stack.request({}));
    expect(ended).toMatchObject({ outcome: "ineffective", reason: expect.stringContaining(check) });
    expect(resultOf(ended, "before").folders).toMatchObject([{ folder: logs }]);
    for (const people of ["infra@youtility.com", "dba-team@youtility.com"]) {
      await until(() => mailsTo(stack.callers, people).some((mail) => mail.includes(ended.id)), { what: "a mail" });
    }
  }

  test("an occurrence of days ago starts no run, and the log says so", async () => {
    await stack.letBeDue();
    const leftOut = () => stack.service.child.logLines().find(({ what }) => what === "late");
    expect(await until(leftOut, { timeoutMs: 30_000, what: "the occurrence to be left out" })).toMatchObject({
      playbook: "daily-maintenance",
      msg: "an occurrence of a schedule was left out",
    });
    expect((await stack.service.api("GET", "/api/v1/runs?limit=100")).body.runs).toEqual([]);
  });

  test("less than a tenth of its room is told to the infrastructure's people, and handed over", async () => {
    const large = join(logs, "large.txt");
    await writeFile(large, Buffer.alloc(7_900_000, 1));
    await expectHandedOver("leastFreePercent > 10");
    await rm(large);
  });

  test("a disk that can have hardly any more files is told and handed over as well", async () => {
    for (let number = 0; number < 92; number += 1) await writeFile(join(logs, `${number}.txt`), "");
    await expectHandedOver("freeInodesPercent > 10");
  });
});
