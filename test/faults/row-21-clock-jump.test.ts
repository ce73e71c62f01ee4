/** Row 21: the clock of the machine is ten minutes off. Nothing expires early, since times are the database's, and the skew shows. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { approveId } from "../../src/oncall/slack/action-ids.ts";
import { askedIn, type Callers, calling, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { serviceUnless } from "../support/real-service.ts";
import { type Service, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const library = readdirSync("/usr/lib")
  .map((folder) => join("/usr/lib", folder, "faketime", "libfaketime.so.1"))
  .find((path) => {
    try {
      return readdirSync(join(path, "..")).length > 0;
    } catch {
      return false;
    }
  });
const fakedTime = serviceUnless(library ? null : "libfaketime is not installed: apt-get install libfaketime");

fakedTime.describe("a clock that is ten minutes off", () => {
  const afterwards = cleaningUp();
  let callers: Callers;
  let ward: Ward;
  let service: Service;

  async function start(offset: string): Promise<void> {
    callers = await startCallers();
    afterwards(() => callers.stop());
    ward = await createWard();
    const { env, ...rest } = calling(callers, { expireAfter: "60s" });
    service = await startService({
      ...rest,
      // The monotonic clock, which timers go by, is left alone: it does not jump.
      env: { ...env, LD_PRELOAD: library ?? "", FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" },
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      targets: ward.targets(1),
      playbooks: [wardPlaybook("sick", { step: "approval: always" })],
    });
    callers.slack.sendTo(slackUrl(service));
  }

  test.each(["+10m", "-10m"])(
    "%s: the approval has all its time, the click is refused, and a metric says why",
    async (offset) => {
      await start(offset);
      const run = await service.fire({ alertname: "sick", service: "w1" });
      const message = await askedIn(callers, run);
      const [approval] = (await service.run(run)).approvals;
      const left = Date.parse(approval?.expiresAt ?? "") - Date.now();
      expect(left).toBeGreaterThan(45_000);
      expect(left).toBeLessThan(61_000);

      const answer = await callers.slack.click({ message, actionId: approveId, user: "U0LEAD" });
      expect(answer.status).toBe(401);
      const skew = await until(
        async () => {
          const { body } = await service.api("GET", "/metrics");
          return /^paramedic_slack_clock_skew_seconds (-?\d+)/m.exec(String(body))?.[1];
        },
        { what: "the skew to be measured" },
      );
      expect(Math.abs(Number(skew) - (offset === "+10m" ? 600 : -600))).toBeLessThan(30);

      // Nothing has expired, nothing was done, and the other door works.
      expect((await service.run(run)).approvals).toMatchObject([{ state: "pending", decisions: [] }]);
      const decided = await service.api("POST", `/api/v1/approvals/${approval?.id}`, {
        decision: "approve",
        digest: approval?.digest,
      });
      expect(decided.status).toBe(200);
      expect((await service.ended(run)).outcome).toBe("fixed");
    },
  );
});
