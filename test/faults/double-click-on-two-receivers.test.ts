/** One button, two receivers: however many people press it at once, wherever it arrives and in whatever form, there is one decision and one effect. */

import { askedIn, type Callers, calling, shownBy, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
const count = 5;
let callers: Callers;
let ward: Ward;
let services: readonly Service[];

beforeEach(async () => {
  callers = await startCallers();
  afterwards(() => callers.stop());
  ward = await createWard();
  const options: ServiceOptions = {
    ...calling(callers),
    program: "counting",
    databaseUrl: (await sharedPostgres()).url,
    targets: ward.targets(count),
    playbooks: [wardPlaybook("sick", { step: "approval: always" })],
  };
  // The first one migrates.
  services = [await startService({ ...options, role: "receiver" }), await startService(options)];
});

test("a double click whose halves reach different receivers, by one person or by two, is one decision and one effect", async () => {
  const [one, two] = services as readonly [Service, Service];
  const targets = Array.from({ length: count }, (_, index) => `w${index + 1}`);
  const runs = await Promise.all(targets.map((service) => one.fire({ alertname: "sick", service })));
  await Promise.all(
    runs.map(async (run, index) => {
      const message = await askedIn(callers, run);
      const press = (user: string, to: Service) =>
        callers.slack.click({ message, actionId: "paramedic-approve", user, to: slackUrl(to) });
      const second = index % 2 === 0 ? "U0LEAD" : "U0DEPUTY";
      const sent = await Promise.all([
        press("U0LEAD", one),
        press(second, two),
        press("U0LEAD", two),
        press(second, one),
      ]);
      // The very same bytes once more, at the other one.
      const again = await Promise.all(sent.map((click) => callers.slack.resend(click, slackUrl(two))));
      expect([...sent, ...again].map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    }),
  );
  for (const run of runs) {
    const ended = await two.ended(run, 30_000);
    expect(ended.outcome).toBe("fixed");
    expect(ended.approvals).toMatchObject([{ state: "approved", decisions: [{ decision: "approve" }] }]);
    expect(ended.approvals[0]?.decisions).toHaveLength(1);
    expect(ended.events.filter(({ type }) => type === "approval-answered")).toHaveLength(1);
    expect(ended.events.filter(({ type }) => type === "step-started")).toHaveLength(1);
  }
  for (const target of targets) expect(await ward.effects(target)).toHaveLength(1);
  await Promise.all(services.map((service) => service.stop()));
});

test("an approval and a refusal that arrive together: the first counts, the other one is told who decided", async () => {
  const [one, two] = services as readonly [Service, Service];
  const run = await one.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  await callers.slack.click({ message, actionId: "paramedic-decline", user: "U0DEPUTY", to: slackUrl(two) });
  const view = await until(() => callers.slack.views[0], { what: "the window for the reason" });
  await Promise.all([
    callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD", to: slackUrl(one) }),
    callers.slack.submit(view, { reason: "no" }, { to: slackUrl(two) }),
  ]);
  const ended = await two.ended(run);
  const [decision] = ended.approvals[0]?.decisions ?? [];
  expect(ended.approvals[0]?.decisions).toHaveLength(1);
  const won = decision?.decision === "approve" ? "U0LEAD" : "U0DEPUTY";
  const lost = won === "U0LEAD" ? "U0DEPUTY" : "U0LEAD";
  expect(ended.outcome).toBe(won === "U0LEAD" ? "fixed" : "declined");
  expect(await ward.effects("w1")).toHaveLength(won === "U0LEAD" ? 1 : 0);
  const told = await until(() => callers.slack.ephemerals.find(({ user }) => user === lost), { what: "the other one" });
  expect(told.text).toContain(`already decided: ${won === "U0LEAD" ? "approved" : "declined"} by <@${won}>`);
  await until(() => shownBy(message).includes(`by <@${won}>`), { what: () => shownBy(message) });
  await Promise.all(services.map((service) => service.stop()));
});
