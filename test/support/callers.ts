/** What a real service asks and tells people by, for tests of the whole: doubles of Slack and PagerDuty, a mail server, and the configuration that names them. */

import { buttonsOf, textsOf } from "../oncall/slack/told.ts";
import { type PagerDutyDouble, type PagerDutyRequest, startPagerDutyDouble } from "./pagerduty-double.ts";
import type { Service, ServiceOptions } from "./service.ts";
import { type SlackDouble, startSlackDouble } from "./slack-double.ts";
import type { SlackMessage } from "./slack-double-workspace.ts";
import { type SmtpDouble, startSmtpDouble } from "./smtp-double.ts";
import { until } from "./until.ts";

/** `U0LEAD` and `U0DEPUTY` approve by themselves, `U0MATE` by the group `S0ONCALL`; `U0SCREEN` only looks. */
export const users = { U0LEAD: "approver", U0DEPUTY: "approver", U0SCREEN: "viewer" } as const;
export const group = "S0ONCALL";

/** The routing key of the escalation policy, which is not that of change events. */
export const pageKey = "canary-page-key-0123456789abcdef";
const changesKey = "canary-changes-key-0123456789abc";

export interface Callers {
  readonly slack: SlackDouble;
  readonly pagerDuty: PagerDutyDouble;
  readonly mail: SmtpDouble;
  stop(): Promise<void>;
}

export async function startCallers(): Promise<Callers> {
  const [slack, pagerDuty, mail] = [await startSlackDouble(), await startPagerDutyDouble(), await startSmtpDouble()];
  for (const id of [...Object.keys(users), "U0MATE"]) slack.addUser(id);
  slack.setGroup(group, ["U0MATE"]);
  slack.addChannel("changes");
  return {
    slack,
    pagerDuty,
    mail,
    stop: async () => {
      await Promise.all([slack.stop(), pagerDuty.stop(), mail.stop()]);
    },
  };
}

export interface CalledOptions {
  readonly socket?: boolean;
  /** How long people have to decide. */
  readonly expireAfter?: string;
  /** When the escalation tells people of what could not be asked. */
  readonly escalateAfter?: string;
  /** The levels of the policy `database`; a mail at once and PagerDuty a second later where left out. */
  readonly levels?: readonly object[];
  readonly sections?: Readonly<Record<string, unknown>>;
}

export const byPagerDuty = { env: "PAGE_KEY" };

/** The sections and the environment of a service that uses `callers`. */
export function calling(callers: Callers, options: CalledOptions = {}): Pick<ServiceOptions, "sections" | "env"> {
  const { slack, pagerDuty, mail } = callers;
  const { socket = false, expireAfter = "60s", escalateAfter = "60s", levels, sections = {} } = options;
  const secret = socket ? { appToken: { env: "SLACK_APP_TOKEN" } } : { signingSecret: { env: "SLACK_SIGNING_SECRET" } };
  return {
    env: {
      SLACK_BOT_TOKEN: slack.botToken,
      SLACK_SIGNING_SECRET: slack.signingSecret,
      SLACK_APP_TOKEN: slack.appToken,
      SMTP_URL: mail.url,
      PAGE_KEY: pageKey,
      CHANGES_KEY: changesKey,
      NODE_EXTRA_CA_CERTS: pagerDuty.caFile,
    },
    sections: {
      slack: {
        botToken: { env: "SLACK_BOT_TOKEN" },
        ...secret,
        apiUrl: slack.apiUrl,
        channel: "#ops",
        users,
        groups: { [group]: "approver" },
      },
      announcements: { slack: "#changes" },
      approvals: { expireAfter, escalateAfter },
      email: { smtp: { env: "SMTP_URL" }, from: "paramedic@example.net" },
      pagerduty: { routingKey: { env: "CHANGES_KEY" }, server: pagerDuty.server },
      escalation: {
        database: levels ?? [
          { after: "0s", email: ["oncall@example.net"] },
          { after: "1s", pagerduty: byPagerDuty },
        ],
      },
      ...sections,
    },
  };
}

/** Where Slack is to send clicks. */
export function slackUrl(service: Service): string {
  return `${service.url}/slack/events`;
}

/** The message that asks about a run, with its buttons. */
export async function askedIn({ slack }: Callers, run: string, timeoutMs = 10_000): Promise<SlackMessage> {
  return await until(() => slack.messages().find((one) => isAbout(one, run) && buttonsOf(one).length >= 2), {
    timeoutMs,
    what: () => `a question about ${run}; Slack was called ${JSON.stringify(slack.calls().slice(-5))}`,
  });
}

/** The messages of the channel that are about a run, without replies. */
export function messagesAbout({ slack }: Callers, run: string): readonly SlackMessage[] {
  return slack.messages().filter((one) => isAbout(one, run));
}

function isAbout({ blocks }: SlackMessage, run: string): boolean {
  return JSON.stringify(blocks).includes(run);
}

/** What a message shows, line by line. */
export function shownBy({ blocks }: SlackMessage): string {
  return textsOf(blocks).join("\n");
}

/** What a message's thread shows. */
export function threadOf({ slack }: Callers, message: SlackMessage): string {
  return slack.thread(message).map(shownBy).join("\n");
}

/** What PagerDuty was sent that could have called somebody, in order. */
export function pages({ pagerDuty }: Callers): readonly PagerDutyRequest[] {
  return pagerDuty.requests.filter(({ path }) => path === "/v2/enqueue");
}

/** The text parts of the mails to somebody, in order. */
export function mailsTo({ mail }: Callers, address: string): readonly string[] {
  return mail.mails.filter(({ to }) => to.includes(address)).map(({ raw }) => textOf(raw));
}

/** The part of a mail that is plain text, decoded. */
function textOf(raw: string): string {
  const part = /Content-Type: text\/plain[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n([\s\S]*?)\r\n--/i.exec(raw);
  const [, headers = "", body = ""] = part ?? [];
  if (/base64/i.test(headers)) return Buffer.from(body, "base64").toString("utf8");
  if (!/quoted-printable/i.test(headers)) return Buffer.from(body, "latin1").toString("utf8");
  const bytes = body
    .replaceAll("=\r\n", "")
    .replaceAll(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Waits until the history of a run has an event of this type. */
export async function happenedTo(service: Service, run: string, type: string, timeoutMs = 15_000): Promise<void> {
  await until(async () => (await service.run(run)).events.some((event) => event.type === type), {
    timeoutMs,
    everyMs: 50,
    what: () => `${type} in the history of ${run} (${service.child.output().slice(-3_000)})`,
  });
}
