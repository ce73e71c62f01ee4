/** The shipped routes of YOUTILITY3's Alertmanager, by a real one: what follows from a greater trouble starts nothing, until that is over. */

import { alertmanagerService, type PostedAlert, type TestAlertmanager } from "../support/alertmanager.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { killServices, type Service, startService, tokens } from "../support/service.ts";
import { createSickDatabase, type SickDatabase } from "../support/sick-database.ts";
import { until } from "../support/until.ts";
import { startYoutility3Alertmanager } from "../support/youtility3-alertmanager.ts";

jest.setTimeout(90_000);

/** Answers every alert, and changes nothing: these tests are about which ones come. */
const look = [
  "name: look",
  "summary: Look at the database.",
  `on: { alerts: ['service="youtility3"'] }`,
  "target: { label: service }",
  "steps:",
  "  - { id: activity, do: postgres.activity }",
].join("\n");

alertmanagerService.describe("with the shipped alertmanager.yml", () => {
  let patient: SickDatabase;
  let service: Service;
  let alertmanager: TestAlertmanager;
  beforeAll(async () => {
    patient = await createSickDatabase("youtility3");
    const databaseUrl = await (await sharedPostgres()).newDatabase();
    service = await startService({ databaseUrl, targets: { youtility3: patient.asTarget }, playbooks: [look] });
    await service.ready();
    alertmanager = await startYoutility3Alertmanager(service.webhookUrl, tokens.alertmanager);
  });
  afterAll(async () => {
    await alertmanager?.stop();
    await killServices();
    await patient?.closeSessions();
  });

  const firing = (alertname: string, name = "youtility3"): PostedAlert => ({
    labels: { alertname, service: name, severity: "critical" },
    startsAt: new Date().toISOString(),
  });
  const over = (alert: PostedAlert): PostedAlert => ({ ...alert, endsAt: new Date().toISOString() });
  /** The names of the alerts that Paramedic was told of, in the order of the alphabet. */
  const told = async (): Promise<string[]> => {
    const { body } = await service.api("GET", "/api/v1/episodes?limit=100");
    return body.episodes.map(({ labels }: { labels: { alertname: string } }) => labels.alertname).toSorted();
  };

  test.each([
    ["ApplicationCrashLoop", "HighErrorRate"],
    ["DatabaseOverload", "DatabaseQuerySlow"],
  ])("while %s fires Paramedic hears nothing of %s, and of it as soon as the former is over", async (cause, effect) => {
    const before = await told();
    const [greater, lesser, other] = [firing(cause), firing(effect), firing("CacheInvalidationFailing")];
    await alertmanager.post([greater, lesser, other]);
    const first = [
      ...before,
      cause,
      ...(before.includes("CacheInvalidationFailing") ? [] : ["CacheInvalidationFailing"]),
    ];
    await until(async () => (await told()).length >= first.length, { what: "what is not held back to be told" });
    // Whatever is told of both comes with the next notification of their groups, a second later at most.
    await alertmanager.post([over(other)]);
    await until(
      async () => {
        const { body } = await service.api("GET", "/api/v1/episodes?status=firing");
        return body.episodes.every(({ labels }: { labels: { alertname: string } }) => labels.alertname === cause);
      },
      { timeoutMs: 15_000, what: "the third one to be told as over" },
    );
    expect(await told()).toEqual(first.toSorted());
    await alertmanager.post([over(greater)]);
    await until(async () => (await told()).includes(effect), { timeoutMs: 15_000, what: () => `${effect} to be told` });
    await alertmanager.post([over(lesser)]);
  });

  test("what fires of Paramedic itself is not told to it", async () => {
    const other = firing("LowCacheHitRate");
    await alertmanager.post([firing("ParamedicDown", "paramedic"), other]);
    await until(async () => (await told()).includes("LowCacheHitRate"), { what: "the other one to be told" });
    await alertmanager.post([over(other)]);
    await until(async () => (await service.api("GET", "/api/v1/episodes?status=firing")).body.episodes.length === 0, {
      timeoutMs: 15_000,
      what: "the other one to be told as over",
    });
    expect(await told()).not.toContain("ParamedicDown");
  });
});
