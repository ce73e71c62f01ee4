/** From a real Alertmanager over Slack to the patient and back: somebody approves, somebody declines, nobody answers; over HTTP and over Socket Mode. */

import type { Session } from "../actions/postgres/patient.ts";
import { buttonsOf } from "../oncall/slack/told.ts";
import { alertmanagerService, startAlertmanager } from "../support/alertmanager.ts";
import {
  askedIn,
  type Callers,
  calling,
  mailsTo,
  messagesAbout,
  pages,
  shownBy,
  slackUrl,
  startCallers,
  threadOf,
} from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { type Service, startService, tokens } from "../support/service.ts";
import { createSickDatabase, type SickDatabase } from "../support/sick-database.ts";
import { until } from "../support/until.ts";

function playbook(name: string, escalate: string, extra = ""): string {
  return [
    `name: ${name}`,
    "summary: Cancel what holds the database, after somebody looked.",
    `on: { alerts: ['alertname="${name}"'] }`,
    "target: { label: service }",
    extra,
    "steps:",
    "  - { id: cancel, do: postgres.cancel-queries, with: { olderThanSeconds: 1 }, approval: always }",
    "verify:",
    "  - { do: postgres.activity, expect: output.longestSeconds < 1, within: 10s, every: 1s }",
    `escalate: ${escalate}`,
  ].join("\n");
}

const playbooks = [
  playbook("asks", "{ policy: database, hold: 50s }"),
  playbook("asks-briefly", "database", "approvals: { expireAfter: 3s }"),
];

alertmanagerService.describe("from a real Alertmanager over Slack to the patient", () => {
  let callers: Callers;
  let patient: SickDatabase;
  let service: Service;
  const afterwards = cleaningUp();

  async function start(socket: boolean): Promise<void> {
    callers = await startCallers();
    afterwards(() => callers.stop());
    patient = await createSickDatabase("shop");
    afterwards(() => patient.closeSessions());
    service = await startService({
      ...calling(callers, { socket }),
      databaseUrl: await (await sharedPostgres()).newDatabase(),
      targets: { shop: patient.asTarget },
      playbooks,
    });
    callers.slack.sendTo(socket ? "socket" : slackUrl(service));
  }

  /** A query of the application that has run for long enough to be cancelled. */
  async function longQuery(): Promise<{ readonly session: Session; readonly state: () => string }> {
    const session = await patient.session();
    const query = session.start("SELECT pg_sleep(600)");
    await until(
      async () =>
        (
          await patient.admin(
            `SELECT FROM pg_stat_activity
             WHERE pid = $1 AND state = 'active' AND clock_timestamp() - query_start > interval '1.1 s'`,
            [session.pid],
          )
        ).length === 1,
      { what: "the query to be old enough" },
    );
    return { session, state: () => query.state };
  }

  /** Has a real Alertmanager fire, and returns the run that Slack is asked about. */
  async function fire(alertname: string): Promise<string> {
    const sender = await startAlertmanager({ webhookUrl: service.webhookUrl, token: tokens.alertmanager });
    afterwards(() => sender.stop());
    const annotations = { summary: "The shop's database is <!channel> *busy*" };
    await sender.post([{ labels: { alertname, service: "shop", severity: "critical" }, annotations }]);
    return await until(
      async () => (await service.api("GET", "/api/v1/approvals?state=pending")).body.approvals[0]?.runId,
      { what: "a run that waits for approval" },
    );
  }

  test("a signed click approves: the patient is healed, the message is the record, the thread tells it, nobody is called", async () => {
    await start(false);
    const { session, state } = await longQuery();
    const run = await fire("asks");
    const message = await askedIn(callers, run);
    const question = shownBy(message);
    expect(question).toMatch(/^Approve cancel on shop\?\n/);
    expect(question).toContain("asks, critical");
    expect(question).toContain("The shop's database is <!channel> *busy*");
    expect(question).toContain(`pid ${session.pid}`);
    expect(question).toContain("Answer before");
    expect(question).toMatch(/\*Risk: (low|high)\.\*/);
    expect(question).toContain("Cancel what holds the database, after somebody looked.");
    expect(state()).toBe("running");

    const click = await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
    expect(click.status).toBe(200);
    expect(click.ms).toBeLessThan(1_000);
    const ended = await service.ended(run);
    expect(ended.outcome).toBe("fixed");
    expect(ended.events.map(({ type }) => type)).not.toContain("escalated");
    expect(state()).toBe("57014");

    await until(() => shownBy(message).startsWith("Fixed: asks on shop\n"), { what: () => shownBy(message) });
    expect(buttonsOf(message)).toEqual([]);
    expect(shownBy(message)).toMatch(/\*Approved\* by <@U0LEAD>, <!date/);
    expect(shownBy(message)).toMatch(/\*Ended fixed\*, <!date/);
    await until(() => threadOf(callers, message).includes("Ended fixed"), { what: () => threadOf(callers, message) });
    expect(threadOf(callers, message)).toMatch(
      new RegExp(
        [
          "<@U0LEAD>\napproved cancel",
          "Applies cancel, exactly as planned",
          `pid ${session.pid}`,
          "Applied cancel, 1 effect: ",
          "Measured: as expected",
          "Ended fixed",
        ].join("[\\s\\S]*"),
      ),
    );
    expect(messagesAbout(callers, run)).toEqual([message]);
    expect(callers.slack.thread(message).length).toBeLessThan(8);
    await until(() => callers.slack.messages("#changes").length === 2, { what: "the closing line" });
    const [announced, closing] = callers.slack.messages("#changes");
    expect(announced && shownBy(announced)).toMatch(/^About to change shop: cancel pid/);
    expect(closing && shownBy(closing)).toMatch(/^Fixed: asks on shop/);
    expect(callers.slack.ephemerals).toEqual([]);

    await until(() => callers.pagerDuty.requests.some(({ path }) => path === "/v2/change/enqueue"), {
      what: "the change to be told",
    });
    expect(pages(callers)).toEqual([]);
    expect(callers.mail.mails).toEqual([]);
    await service.stop();
  });

  test("Decline asks for a reason: nothing is done, and run, message and thread say who and why", async () => {
    await start(false);
    const { state } = await longQuery();
    const run = await fire("asks");
    const message = await askedIn(callers, run);
    await callers.slack.click({ message, actionId: "paramedic-decline", user: "U0MATE" });
    const view = await until(() => callers.slack.views[0], { what: "the window for the reason" });
    expect((await service.run(run)).state).toBe("waiting");
    const submitted = await callers.slack.submit(view, { reason: "the nightly report may take its time" });
    expect(submitted.status).toBe(200);
    expect(view.state).toBe("submitted");

    const ended = await service.ended(run);
    expect(ended.outcome).toBe("declined");
    expect(ended.events.map(({ type }) => type)).not.toContain("step-started");
    expect(ended.events.map(({ type }) => type)).not.toContain("escalated");
    expect(state()).toBe("running");
    await until(() => shownBy(message).startsWith("Declined: asks on shop\n"), { what: () => shownBy(message) });
    expect(buttonsOf(message)).toEqual([]);
    expect(shownBy(message)).toMatch(/\*Declined\* by <@U0MATE>, <!date/);
    expect(shownBy(message)).toContain("“the nightly report may take its time”");
    await until(() => threadOf(callers, message).includes("Ended declined"), {
      what: () => threadOf(callers, message),
    });
    expect(threadOf(callers, message)).toContain("declined cancel: the nightly report may take its time");
    expect(messagesAbout(callers, run)).toEqual([message]);
    expect(callers.pagerDuty.requests).toEqual([]);
    expect(callers.mail.mails).toEqual([]);
    await service.stop();
  });

  test("silence is no: the question expires, nothing is done, and people are told by mail and then by PagerDuty", async () => {
    await start(false);
    const { state } = await longQuery();
    const run = await fire("asks-briefly");
    const message = await askedIn(callers, run);
    const ended = await service.ended(run);
    expect(ended.outcome).toBe("expired");
    expect(ended.events.map(({ type }) => type)).not.toContain("step-started");
    expect(state()).toBe("running");
    await until(() => shownBy(message).startsWith("Expired: asks-briefly on shop\n"), { what: () => shownBy(message) });
    expect(buttonsOf(message)).toEqual([]);
    expect(shownBy(message)).toContain("nobody answered in time");

    const late = await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD", stale: true });
    expect(late.status).toBe(200);
    const refusal = await until(() => callers.slack.ephemerals.find(({ user }) => user === "U0LEAD"));
    expect(refusal.text).toContain("The time to decide ended");

    await until(() => mailsTo(callers, "oncall@example.net")[0], { what: "the mail" });
    expect(mailsTo(callers, "oncall@example.net")[0]).toContain(`paramedic ack ${run}`);
    await until(() => pages(callers).length === 1, { what: "PagerDuty to be told" });
    await until(async () => (await service.run(run)).events.filter(({ type }) => type === "told").length === 2, {
      what: "both in the history",
    });
    expect(pages(callers)[0]?.body).toMatchObject({ event_action: "trigger", payload: { severity: "critical" } });
    await until(() => threadOf(callers, message).includes("Handed over to people (database)"), {
      what: () => threadOf(callers, message),
    });
    expect(messagesAbout(callers, run)).toEqual([message]);
    expect(state()).toBe("running");
    await service.stop();
  });

  test("by Socket Mode, where Slack cannot reach the service, a click approves as well", async () => {
    await start(true);
    await until(() => callers.slack.socket.connections() > 0, { what: "the connection" });
    const { state } = await longQuery();
    const run = await fire("asks");
    const message = await askedIn(callers, run);
    const click = await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0MATE" });
    expect(click.request).toBeNull();
    expect((await service.ended(run)).outcome).toBe("fixed");
    expect(state()).toBe("57014");
    await until(() => shownBy(message).startsWith("Fixed: asks on shop\n"), { what: () => shownBy(message) });
    expect(pages(callers)).toEqual([]);
    await service.stop();
  });
});
