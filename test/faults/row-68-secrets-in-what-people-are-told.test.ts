/** Row 68 for everything that is told and kept: no secret is in Slack, PagerDuty, mails, the status page, the database, the log or the API, also where the other side repeats it. */

import { canary } from "../actions/context.ts";
import { askedIn, type Callers, calling, messagesAbout, pages, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { type Service, startService, tokens } from "../support/service.ts";
import { createSickDatabase } from "../support/sick-database.ts";
import { type StatusPageDouble, startStatusPageDouble } from "../support/status-page-double.ts";
import { until } from "../support/until.ts";

const afterwards = cleaningUp();
const statusToken = "canary-status-page-0123456789";

const playbook = `
name: database-overload
summary: Cancel what holds the database; it does not help.
on: { alerts: ['alertname="DatabaseOverload"'] }
target: { label: service }
steps:
  - { id: cancel, do: postgres.cancel-queries, with: { olderThanSeconds: 1 }, approval: always }
verify:
  - { do: postgres.activity, expect: output.maxConnections < 0, within: 1s, every: 1s }
notify: [{ tell: readers }]
escalate: database
`;

/** Every form in which somebody could have written a secret down. */
function formsOf(secrets: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(secrets).flatMap(([name, secret]) => [
    [name, secret] as const,
    [`${name}, encoded for a URL`, encodeURIComponent(secret)] as const,
    [`${name}, in base64`, Buffer.from(secret).toString("base64").replace(/=+$/, "")] as const,
  ]);
}

/** All rows of all tables that Paramedic and its queue have, as text. */
async function contentsOf(databaseUrl: string): Promise<string> {
  const tables = await query(
    databaseUrl,
    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('paramedic', 'bullmq')",
  );
  const texts = await Promise.all(
    tables.map(async ({ name }) => {
      const rows = await query(
        databaseUrl,
        `SELECT convert_from(convert_to(t::text, 'UTF8'), 'UTF8') AS row FROM ${name} t`,
      );
      return rows.map(({ row }) => `${name} ${row}`);
    }),
  );
  return texts.flat().join("\n");
}

/** A mail with its encodings undone. */
function decoded(raw: string): string {
  const unfolded = raw.replaceAll("=\r\n", "").replaceAll(/\r\n[ \t]+/g, " ");
  return unfolded.replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function repeatSecrets({ slack, pagerDuty, mail }: Callers, status: StatusPageDouble): void {
  slack.fail("chat.postMessage", "not-json");
  pagerDuty.fail("echo-400");
  mail.fail("quote-login");
  status.fail("echo-400");
}

async function failures(service: Service): Promise<number> {
  const { body } = await service.api("GET", "/metrics");
  return [...String(body).matchAll(/^paramedic_notices_total\{way="[a-z-]+",result="(again|dead)"\} [1-9]/gm)].length;
}

test("whatever fails and whatever works, no secret goes anywhere but to whom it belongs", async () => {
  const callers = await startCallers();
  afterwards(() => callers.stop());
  const { double: status } = await startStatusPageDouble({ token: statusToken });
  afterwards(() => status.stop());
  const patient = await createSickDatabase("shop");
  afterwards(() => patient.closeSessions());
  const databaseUrl = await (await sharedPostgres()).newDatabase();
  const called = calling(callers, {
    levels: [{ after: "0s", email: ["oncall@example.net"], slack: "#ops", pagerduty: { env: "PAGE_KEY" } }],
    sections: {
      publicUrl: "https://paramedic.example.net",
      statusPage: { kind: "statuspage", url: status.url, pageId: "page1", token: { env: "STATUS_TOKEN" } },
      contacts: { readers: { email: ["readers@example.net"], slack: "#changes", pagerduty: { env: "PAGE_KEY" } } },
    },
  });
  const service = await startService({
    ...called,
    env: { ...called.env, STATUS_TOKEN: statusToken },
    // The server takes any password.
    databaseUrl: databaseUrl.replace(":postgres@", ":canary-own-database@"),
    targets: { shop: patient.asTarget },
    playbooks: [playbook],
  });
  callers.slack.sendTo(slackUrl(service));
  const session = await patient.session();
  const long = session.start("SELECT pg_sleep(600), 'canary-in-a-query'");
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

  repeatSecrets(callers, status);
  const run = await service.fire({ alertname: "DatabaseOverload", service: "shop", severity: "critical" });
  await until(async () => (await failures(service)) === 3, { what: "Slack, PagerDuty and the mail to have failed" });
  callers.slack.fail("chat.postMessage", null);
  await query(databaseUrl, "UPDATE paramedic.outbox SET due_at = now() WHERE due_at > now()");
  const message = await askedIn(callers, run);
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0SCREEN" });
  await until(() => callers.slack.ephemerals.length === 1, { what: "the viewer to be refused" });
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
  expect((await service.ended(run, 40_000)).outcome).toBe("ineffective");
  expect(long.state).toBe("57014");
  await until(() => status.calls.length > 0, { what: "the status page to be tried" });

  callers.pagerDuty.fail(null);
  callers.mail.fail(null);
  status.fail(null);
  const another = await service.fire({ alertname: "DatabaseOverload", service: "shop", round: "2" });
  expect((await service.ended(another)).outcome).toBe("ineffective");
  await until(
    () => pages(callers).some(({ body }) => body?.["event_action"] === "trigger") && callers.mail.mails.length > 1,
    {
      what: "PagerDuty and the mails",
    },
  );
  await until(() => callers.slack.messages("#changes").length > 1 && messagesAbout(callers, another).length > 0, {
    what: "Slack",
  });

  const sinks: Readonly<Record<string, string>> = {
    slack: JSON.stringify([callers.slack.calls(), callers.slack.messages(), callers.slack.ephemerals]),
    pagerduty: JSON.stringify(callers.pagerDuty.requests.map(({ path, body }) => ({ path, ...body, routing_key: "" }))),
    mails: callers.mail.mails.map(({ raw }) => raw + decoded(raw)).join("\n"),
    status: JSON.stringify(status.calls.map(({ headers, ...call }) => ({ ...call, ...headers, authorization: "" }))),
    database: await contentsOf(databaseUrl),
    log: service.child.output(),
    api: JSON.stringify([
      await service.run(run),
      await service.run(another),
      (await service.api("GET", "/api/v1/playbooks")).body,
      (await service.api("GET", "/api/v1/episodes")).body,
      (await service.api("GET", "/metrics")).body,
      (await service.api("GET", "/readyz")).body,
    ]),
  };
  const secrets = formsOf({
    ...tokens,
    ...(({ NODE_EXTRA_CA_CERTS: _, ...env }) => env)(called.env as Record<string, string>),
    "password of the mail server": "let me in",
    "token of the status page": statusToken,
    "password of the target": canary,
    "password of the store": "canary-own-database",
    "a literal of a query": "canary-in-a-query",
  });
  for (const [sink, text] of Object.entries(sinks)) {
    expect([sink, text.length > 100]).toEqual([sink, true]);
    const found = secrets.filter(([, form]) => text.includes(form)).map(([name]) => `${name} in ${sink}`);
    expect(found).toEqual([]);
  }
  // What is looked for would be found: the sinks hold what was told.
  for (const sink of ["slack", "mails", "database", "log", "api"]) expect(sinks[sink]).toContain(run);
  await service.stop();
});
