/** A run that cannot heal, from the alert to the mail on the engineer's phone: a real service, a real mail server, a restart in between. */

import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { type Service, startService, tokens } from "../support/service.ts";
import { type SmtpDouble, startSmtpDouble } from "../support/smtp-double.ts";
import { until } from "../support/until.ts";

const playbook = `
name: never-better
summary: Cancel what is old; nothing here is old enough, and the check cannot hold.
on: { alerts: ['alertname="DatabaseOverload"'] }
target: { label: service }
steps:
  - { id: cancel, do: postgres.cancel-queries, with: { olderThanSeconds: 86400 } }
verify:
  - { do: postgres.activity, expect: output.maxConnections < 0, within: 1s, every: 1s }
escalate: database
`;

let patient: Patient;
let mail: SmtpDouble;
let service: Service;

beforeAll(async () => {
  const databases = await sharedPostgres();
  patient = await createPatient(databases);
  mail = await startSmtpDouble();
  const { postgres } = patient.target;
  if (!postgres) throw new Error("the patient has no database");
  service = await startService({
    databaseUrl: await databases.newDatabase(),
    playbooks: [playbook],
    targets: { ward: { labels: { service: ["ward"] }, postgres } },
    env: { SMTP_URL: mail.url },
    sections: {
      publicUrl: "https://paramedic.example.net",
      email: { smtp: { env: "SMTP_URL" }, from: "paramedic@example.net" },
      escalation: {
        database: [
          { after: "0s", email: ["first@example.net"] },
          { after: "3s", email: ["second@example.net"] },
        ],
      },
    },
  });
});

afterAll(async () => {
  await service.stop();
  await mail.stop();
  await patient.closeSessions();
});

const to = (address: string) => mail.mails.filter((one) => one.to.includes(address));

/** A mail without the line breaks of header folding and of quoted-printable. */
function unfolded(raw: string): string {
  return raw.replaceAll(/=\r?\n/g, "").replaceAll(/\r?\n[ \t]+/g, " ");
}

test("levels are told in their time, also over a restart, as one thread that says what to do", async () => {
  const run = await service.fire({ alertname: "DatabaseOverload", service: "ward", severity: "critical" });
  expect(await service.ended(run)).toMatchObject({ outcome: "ineffective" });
  await until(() => to("first@example.net").length === 1, { what: "the first mail" });
  await until(async () => (await service.run(run)).events.some(({ type }) => type === "told"), {
    what: "it to be stored",
  });
  await service.kill();
  await service.start();
  await until(() => to("second@example.net").length === 1, { what: "the second mail", timeoutMs: 20_000 });
  expect(mail.mails).toHaveLength(2);

  const [first, second] = mail.mails.map(({ raw }) => unfolded(raw));
  const id = /^Message-ID: +(<[^>]+>)/im.exec(first ?? "")?.[1];
  expect(id).toBeDefined();
  expect(second).toMatch(new RegExp(`^References: .*${id}`, "m"));
  expect(first).toMatch(/^Subject: .*ineffective.*never-better.*ward/m);
  expect(first).toContain(`paramedic ack ${run}`);
  await until(async () => (await service.run(run)).events.filter(({ type }) => type === "told").length === 2, {
    what: "the history to say who was told",
  });
});

test("an acknowledgement over REST stops the next level and says who has it", async () => {
  const before = to("second@example.net").length;
  const run = await service.fire({ alertname: "DatabaseOverload", service: "ward", round: "2" });
  await service.ended(run);
  await until(() => to("first@example.net").length === 2, { what: "the first mail" });
  expect(await service.api("POST", `/api/v1/runs/${run}/acknowledge`, undefined, tokens.operator)).toMatchObject({
    status: 200,
  });
  expect(await service.api("POST", `/api/v1/runs/${run}/acknowledge`)).toMatchObject({
    status: 409,
    body: { type: expect.stringMatching(/already-acknowledged$/), detail: expect.stringContaining("api:operator") },
  });
  const third = await service.fire({ alertname: "DatabaseOverload", service: "ward", round: "3" });
  await service.ended(third);
  // The level of the run that nobody has is told later than the one that was stopped would have been.
  await until(() => to("second@example.net").length > before, {
    what: "the second level of the other run",
    timeoutMs: 20_000,
  });
  expect(to("second@example.net").some(({ raw }) => raw.includes(run))).toBe(false);
});

test("a mail server that is away is tried again until it is back", async () => {
  mail.fail("defer");
  const run = await service.fire({ alertname: "DatabaseOverload", service: "ward", round: "4" });
  await service.ended(run);
  await until(
    async () =>
      /paramedic_notices_total\{way="email",result="again"\} [1-9]/.test((await service.api("GET", "/metrics")).body),
    {
      what: "the first attempt to fail",
    },
  );
  const before = mail.mails.length;
  mail.fail(null);
  await until(() => mail.mails.slice(before).some(({ raw }) => raw.includes(run)), {
    what: "the mail",
    timeoutMs: 30_000,
  });
});
