/** On call for tests: the real desk over the real store, with the real ways to a PagerDuty double and an SMTP server. */

import type { Rounds } from "../../src/domain/rounds.ts";
import { newId } from "../../src/ids.ts";
import { openDesk } from "../../src/oncall/desk.ts";
import { createEmail, mailTells } from "../../src/oncall/email.ts";
import { followNotice } from "../../src/oncall/follow-notice.ts";
import { subjectOf } from "../../src/oncall/notice.ts";
import { createPagerDuty, pagerDutyTells } from "../../src/oncall/pagerduty.ts";
import { createReach, levelsOf, type PolicyLevel } from "../../src/oncall/reach.ts";
import { createSharedPages } from "../../src/oncall/shared-pages.ts";
import { createEscalations, type Escalations } from "../../src/store/escalations.ts";
import { createOutbox, type Outbox } from "../../src/store/outbox.ts";
import { type PagerDutyDouble, startPagerDutyDouble } from "./pagerduty-double.ts";
import { type SmtpDouble, startSmtpDouble } from "./smtp-double.ts";
import { createSpine, playbookYaml, type Spine, type SpineOptions } from "./spine.ts";

export const routingKey = "canary0123456789abcdef0123456789";
export const mailAddress = "dba@example.net";
const from = "paramedic@example.net";

export interface OnCall {
  readonly spine: Spine;
  readonly pagerDuty: PagerDutyDouble;
  readonly smtp: SmtpDouble;
  readonly outbox: Outbox;
  readonly escalations: Escalations;
  /** What the desks have logged as warnings and errors. */
  readonly complaints: readonly string[];
  /** Opens a desk; one delivery to PagerDuty or by mail takes at most 300 milliseconds. */
  open(): Rounds;
  /** Lets a run fail to heal, which hands it over by the policy, and returns its id. */
  handOver(): Promise<string>;
  /** Makes what waits for another attempt due now. */
  hurry(): Promise<void>;
  /** Way and state of each message, by level. */
  messages(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** By default PagerDuty is told at once, and a mail is sent 600 milliseconds later. */
export async function startOnCall(
  levels: readonly (Partial<PolicyLevel> & { readonly afterMs: number })[] = [
    { afterMs: 0, pagerduty: { reveal: () => routingKey } },
    { afterMs: 600, email: [mailAddress] },
  ],
  {
    playbooks = [playbookYaml({ extra: "escalate: ward" })],
    patient = { curable: false },
  }: Pick<SpineOptions, "playbooks" | "patient"> = {},
): Promise<OnCall> {
  const pagerDuty = await startPagerDutyDouble();
  const smtp = await startSmtpDouble();
  const spine = await createSpine({ playbooks, patient });
  const policies = new Map([["ward", levels.map((one) => ({ email: [], slack: null, pagerduty: null, ...one }))]]);
  const mail = createEmail({ smtpUrl: smtp.url, from, timeoutMs: 300 });
  const page = createPagerDuty({ server: pagerDuty.server, ca: pagerDuty.ca, timeoutMs: 300 });
  const escalations = createEscalations(spine.database, newId);
  const outbox = createOutbox(spine.database);
  const complaints: string[] = [];
  const complain = (fields: object, message: string) => void complaints.push(JSON.stringify({ ...fields, message }));
  const desks: Rounds[] = [];
  const sharedPages = createSharedPages(policies, new Map());
  const way = { levels: () => levels.length };
  const reach = createReach(policies, new Map(), {
    email: (to) => followNotice({ ...way, deliver: mail.deliver, to, told: to.join(", "), tells: mailTells }),
    pagerduty: (to) =>
      followNotice({
        ...way,
        deliver: page.deliver,
        to,
        told: "PagerDuty",
        tells: pagerDutyTells,
        shared: (subject) => sharedPages(to, subject),
      }),
    slackMessage: null,
    emailReport: null,
    slackReport: null,
    slackRecord: null,
    slackAnnouncement: null,
    statusPage: null,
    changes: null,
  });

  return {
    spine,
    pagerDuty,
    smtp,
    outbox,
    escalations,
    complaints,
    open: () => {
      const desk = openDesk({
        store: { ...escalations, ...outbox },
        levelsOf: levelsOf(policies),
        reach,
        subject: async ({ runId: run }) =>
          subjectOf(run, await spine.events(run), {
            summary: null,
            publicUrl: null,
            listenUrl: "http://127.0.0.1:9",
            otherPages: await outbox.otherPages(run),
          }),
        log: { info: () => {}, warn: complain, error: complain },
        metrics: { noticeDelivered: () => {}, noticeFailed: () => {} },
        everyMs: 50,
      });
      desks.push(desk);
      return desk;
    },
    handOver: async () => {
      const run = await spine.start();
      const { outcome } = await spine.settle(run);
      if (outcome !== "ineffective") throw new Error(`the run ended ${outcome}`);
      return run;
    },
    hurry: async () => {
      await spine.database.pool.query("UPDATE paramedic.outbox SET due_at = now() WHERE due_at > now()");
    },
    messages: async () => {
      const { rows } = await spine.database.pool.query<{ way: string; state: string }>(
        "SELECT way, state FROM paramedic.outbox ORDER BY level, way",
      );
      return rows.map((row) => `${row.way} ${row.state}`);
    },
    close: async () => {
      await Promise.all(desks.map((desk) => desk.stop()));
      mail.close();
      await Promise.all([spine.close(), pagerDuty.stop(), smtp.stop()]);
    },
  };
}
