/** An application that does not stay up is noticed, and started without what breaks it once somebody agrees; what that does not help is handed over with its journal or its traceback. */

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pages } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(240_000);

const unit = "youtility3.service";
const support = "monitoring-alerts@youtility.com";

/** It can be imported in safe mode only. */
const unlessSafe = `import os
if os.environ.get("MONITOR_QUERIES") != "false":
    raise RuntimeError("the monitoring of queries fails at the import")
`;

const trouble = troubles["application-crash-loop"];

stackServices.describe("application-crash-loop", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "application-crash-loop",
      ...trouble.stack,
      // Safe mode alone does not heal it: systemd has given up by the time that it is noticed.
      startLimit: { burst: 2, seconds: 8 },
      prepare: async (project) => {
        await trouble.stack.prepare(project);
        const file = join(project.folder, "apps/core/queries.py");
        await writeFile(file, `${unlessSafe}${await readFile(file, "utf8")}`);
      },
      hurry: [
        ["activeSeconds > 240", "activeSeconds > 8"],
        ["activeSeconds < 300", "activeSeconds < 5"],
        ["within: 30s", "within: 20s"],
        ["[10m]) > 2", "[30s]) > 2"],
        ['up{job="youtility3"}[2m]', 'up{job="youtility3"}[4s]'],
      ],
    });
  });
  afterAll(() => stack?.stop());

  const inProject = (path: string) => join(stack.yt3.folder, path);
  const restarts = async () => Number(await stack.systemd.show(unit, "NRestarts"));
  const redeploy = () => stack.systemd.systemctl("restart", "--no-block", unit);
  const pagedFor = (run: string) => pages(stack.callers).filter(({ body }) => JSON.stringify(body).includes(run));

  /** The version that works is back, and stays up. */
  async function mended(): Promise<void> {
    await redeploy();
    await until(async () => (await stack.get("/monitoring/health/")).status === 200, {
      timeoutMs: 30_000,
      what: "the application to be up",
    });
    await stack.calm();
  }

  /** From now on systemd starts the unit again however often it has. */
  async function withoutLimit(): Promise<void> {
    const file = await readFile(join(stack.systemd.units, unit), "utf8");
    await stack.systemd.install({ [unit]: file.replace(/^StartLimit.*\n/gm, "StartLimitIntervalSec=0\n") });
  }

  test("its journal is shown, it is down until somebody agrees to the restart, and then in safe mode it stays up", async () => {
    const run = await stack.noticed("ApplicationCrashLoop");
    const { text } = await stack.asked(run);
    const before = [await stack.systemd.show(unit, "ActiveState"), await stack.systemd.show(unit, "InvocationID")];
    expect([before[0], await stack.systemd.show(unit, "Environment")]).toEqual([
      "failed",
      expect.stringContaining("MONITOR_QUERIES=false"),
    ]);
    expect(text).toMatch(
      /^Approve restart on youtility3\?\nApplicationCrashLoop, critical, .*: The application does not stay up/,
    );
    expect(text).toMatch(/\n• the unit is \w+ \([\w-]+\), was started again \d+ times, last result: /);
    expect(text).toContain("\n• its journal ends with: the monitoring of queries fails\n");
    expect(text).toContain("\n• the application can be imported, and reads from its database\n");
    expect([await stack.systemd.show(unit, "ActiveState"), await stack.systemd.show(unit, "InvocationID")]).toEqual(
      before,
    );
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "fixed", reason: "verified: every check of the playbook holds" });
    const { lines } = resultOf(ended, "journal");
    expect(lines.map(({ message }: { message: string }) => message)).toContain("the monitoring of queries fails");
    expect((await stack.get("/monitoring/dashboard/")).body.monitor_queries).toBe(false);
    await until(() => pagedFor(run).length > 0, { timeoutMs: 30_000, what: "PagerDuty to be told" });
    await withoutLimit();
    await stack.calm();
  });

  test("an alert that comes too late: it has been up for a while, and is left alone", async () => {
    const before = await stack.systemd.show(unit, "InvocationID");
    const ended = await stack.late("ApplicationCrashLoop");
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    await stack.says(ended.id, "Nothing to do: ApplicationCrashLoop on youtility3");
    expect(await stack.systemd.show(unit, "InvocationID")).toBe(before);
  });

  test("somebody declines: it is not restarted, and nobody else is called", async () => {
    await writeFile(inProject("broken"), "");
    await redeploy();
    const run = await stack.noticed("ApplicationCrashLoop");
    await stack.asked(run);
    // Systemd goes on trying and counts; a restart by somebody would begin its count anew.
    const before = await until(async () => (await restarts()) > 2 && (await restarts()), {
      timeoutMs: 30_000,
      what: "the unit to be started again by systemd",
    });
    await stack.decline(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("declined");
    expect(ended.events.map(({ type }) => type)).not.toContain("escalated");
    await stack.says(run, "*Declined* by <@U0LEAD>");
    expect(await restarts()).toBeGreaterThanOrEqual(before);
    await rm(inProject("broken"));
    await mended();
  });

  test("it cannot be imported: nobody is asked for a restart that cannot help, and support has the traceback", async () => {
    const file = inProject("apps/core/queries.py");
    const works = await readFile(file, "utf8");
    await writeFile(file, `import a_module_that_is_not_installed\n${works}`);
    await redeploy();
    const run = await stack.noticed("ApplicationCrashLoop");
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "failed", approvals: [] });
    expect(ended.reason).toContain("No module named 'a_module_that_is_not_installed'");
    expect(ended.events.map(({ type }) => type)).not.toContain("step-started");
    await stack.says(run, "Needs you: application-crash-loop on youtility3");
    await stack.mailed(run, support, "No module named 'a_module_that_is_not_installed'");
    await until(() => pagedFor(run).length > 0, { timeoutMs: 30_000, what: "PagerDuty to be told" });
    await writeFile(file, works);
    await mended();
  });

  test("it dies in safe mode as well: the restart is handed over with what was measured", async () => {
    await writeFile(inProject("dying"), "");
    await redeploy();
    const run = await stack.noticed("ApplicationCrashLoop");
    const before = await stack.systemd.show(unit, "InvocationID");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("ineffective");
    expect(ended.reason).toMatch(/did not hold within 20s \(the unit is \w+(, for \d s)?\)$/);
    expect(await stack.systemd.show(unit, "InvocationID")).not.toBe(before);
    await stack.says(run, "Needs you: application-crash-loop on youtility3");
    await stack.mailed(run, support, "hands it over to you");
  });
});
