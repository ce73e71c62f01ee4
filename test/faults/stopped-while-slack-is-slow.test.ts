/** A process that is told to stop while Slack does not say who has clicked: the click is decided once, when it is up again. */

import { askedIn, type Callers, calling, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(120_000);

const afterwards = cleaningUp();

test("SIGTERM while users.info hangs refuses nobody, and the click counts after the restart", async () => {
  const callers: Callers = await startCallers();
  afterwards(() => callers.stop());
  const ward = await createWard();
  const service = await startService({
    ...calling(callers),
    program: "counting",
    databaseUrl: (await sharedPostgres()).url,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always" })],
  });
  callers.slack.sendTo(slackUrl(service));
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);

  callers.slack.fail("users.info", "hang");
  const sent = await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
  expect(sent.status).toBe(200);
  await until(() => callers.slack.calls("users.info").length > 0, { what: "Slack to be asked who it was" });
  expect(await service.stop()).toEqual({ code: 0, signal: null });
  callers.slack.fail("users.info", null);
  await service.start();

  const ended = await service.ended(run, 40_000);
  expect(ended.outcome).toBe("fixed");
  const types = ended.events.map(({ type }) => type as string);
  expect(types.filter((type) => type === "approval-answered")).toHaveLength(1);
  expect(types).not.toContain("answer-refused");
  expect(ended.approvals).toMatchObject([{ state: "approved", decisions: [{ by: "slack:U0LEAD" }] }]);
  expect(await ward.effects()).toHaveLength(1);
  expect(callers.slack.ephemerals).toEqual([]);
  await service.stop();
});
