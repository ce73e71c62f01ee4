/** A mail server that refuses for good: readiness and metrics say so, and after a correction and a restart people are told. */

import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { startSmtpDouble } from "../support/smtp-double.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();

test("a dead letter shows until somebody corrects what is wrong and starts again; then it is told", async () => {
  const ward = await createWard();
  const mail = await startSmtpDouble();
  afterwards(() => mail.stop());
  const service = await startService({
    program: "counting",
    databaseUrl: await (await sharedPostgres()).newDatabase(),
    playbooks: [wardPlaybook("sick", { extra: "notify: [{ tell: monitoring, if: steps.look.sick }]" })],
    targets: ward.targets(1),
    env: { SMTP_URL: mail.url },
    sections: {
      email: { smtp: { env: "SMTP_URL" }, from: "paramedic@example.net" },
      contacts: { monitoring: { email: ["monitoring@example.net"] } },
    },
  });
  afterwards(() => service.kill());
  const outbox = async () => (await service.api("GET", "/readyz")).body.outbox;
  expect(await outbox()).toBe("ok");

  mail.fail("refuse");
  const run = await service.fire({ alertname: "sick", service: "w1" });
  await service.ended(run);
  await until(async () => (await outbox()) === "dead-letters", { what: "readiness to say so" });
  expect((await service.api("GET", "/readyz")).status).toBe(200);
  const metrics: string = (await service.api("GET", "/metrics")).body;
  expect(metrics).toMatch(/^paramedic_notices_dead 1$/m);
  expect(metrics).toMatch(/^paramedic_notices_total\{way="email",result="dead"\} 1$/m);
  expect((await service.run(run)).events).toContainEqual(
    expect.objectContaining({ type: "not-told", way: "email", topic: "notify" }),
  );

  mail.fail(null);
  await service.stop();
  await service.start();
  await until(() => mail.mails.length === 1, { what: "the mail" });
  expect(mail.mails[0]?.to).toEqual(["monitoring@example.net"]);
  expect(mail.mails[0]?.raw).toContain(run);
  await until(async () => (await outbox()) === "ok", { what: "readiness to say so" });
});
