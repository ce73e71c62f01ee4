/** The command line as an on-call engineer uses it: a real service, a real database in trouble, the compiled program. */

import { join } from "node:path";
import { createPatient, type Patient, type Session } from "../actions/postgres/patient.ts";
import { builtProgram } from "../support/built.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startNode } from "../support/process.ts";
import { type Service, startService, tokens } from "../support/service.ts";
import { until } from "../support/until.ts";

const playbook = `
name: cancel-after-approval
summary: Cancel what holds the database, after somebody looked.
on:
  alerts: ['alertname="DatabaseOverload"']
  request: true
  inputs: { olderThanSeconds: { type: integer, default: 1 } }
target: { label: service }
steps:
  - { id: cancel, do: postgres.cancel-queries, with: { olderThanSeconds: "\${{ inputs.olderThanSeconds }}" }, approval: always }
verify:
  - { do: postgres.activity, expect: output.longestSeconds < 1, within: 10s, every: 1s }
`;

/** Its check cannot hold. */
const helpless = `
name: helpless
summary: Look, and hand over.
on: { request: true }
target: { label: service }
steps:
  - { id: look, do: postgres.activity }
verify:
  - { do: postgres.activity, expect: output.longestSeconds < 0, within: 1s, every: 1s }
escalate: database
`;

let patient: Patient;
let service: Service;
let long: Session;

beforeAll(async () => {
  const databases = await sharedPostgres();
  patient = await createPatient(databases);
  const { postgres } = patient.target;
  if (!postgres) throw new Error("the patient has no database");
  service = await startService({
    databaseUrl: await databases.newDatabase(),
    playbooks: [playbook, helpless],
    targets: { ward: { labels: { service: ["ward"] }, postgres } },
  });
  long = await patient.session();
  long.start("SELECT pg_sleep(600)");
  await until(
    async () =>
      (
        await patient.admin(
          "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND now() - query_start > interval '2 s'",
          [long.pid],
        )
      ).length === 1,
    { what: "the query to be old enough" },
  );
});

afterAll(async () => {
  await service.stop();
  await patient.closeSessions();
});

async function paramedic(args: readonly string[], token: string | null = tokens.approver) {
  const child = await startNode(join(await builtProgram(), "cli.js"), args, {
    env: {
      PATH: process.env["PATH"] ?? "",
      PARAMEDIC_URL: service.url,
      ...(token === null ? {} : { PARAMEDIC_TOKEN: token }),
    },
  });
  const { code } = await child.exited;
  return { code, output: child.output() };
}

test("a run is asked for, shown, refused to its own requester, approved exactly as shown, and told to its end", async () => {
  const started = await paramedic(
    ["run", "cancel-after-approval", "ward", "--reason", "it is slow", "--json"],
    tokens.operator,
  );
  expect(started.code).toBe(0);
  const { id } = JSON.parse(started.output) as { id: string };
  await until(async () => (await service.run(id)).waitingFor === "approval", { what: "the run to ask" });

  expect((await paramedic(["runs", "--state", "waiting"])).output).toMatch(
    new RegExp(`${id}\\s+waits: approval\\s+cancel-after-approval\\s+ward`),
  );
  const shown = await paramedic(["show", id]);
  expect(shown.output).toContain("api:operator asked (it is slow): playbook 'cancel-after-approval' on ward");
  expect(shown.output).toContain(`paramedic approve ${id}`);

  // As Slack shows ids. What begins like this run and no other.
  const short = await paramedic(["show", id.slice(0, 18).toUpperCase()]);
  expect(short).toMatchObject({ code: 0, output: expect.stringContaining(`paramedic approve ${id}`) });
  expect(await paramedic(["show", "00000000-0000"])).toMatchObject({
    code: 1,
    output: expect.stringContaining("None of the newest 200 runs has an id that begins with 00000000-0000."),
  });
  const asked = await paramedic(["approve", id, "--json"]);
  expect(asked).toMatchObject({ code: 2, output: expect.stringContaining("repeat with --yes") });
  expect(asked.output).toContain("cancel");
  const undecided = await paramedic(["approve", id]);
  expect(undecided).toMatchObject({ code: 2 });
  expect(undecided.output).toContain(String(long.pid));
  expect(undecided.output).toContain("repeat with --yes");
  expect(await paramedic(["approve", id, "--yes"], tokens.operator)).toMatchObject({ code: 1 });

  const approved = await paramedic(["approve", id, "--yes", "--reason", "seen"]);
  expect(approved).toMatchObject({ code: 0 });
  const told = await paramedic(["show", id, "--follow"]);
  expect(told.output).toContain("api:approver approved cancel: seen");
  expect(told.output).toContain("Ended fixed");
  expect(told.code).toBe(0);
  expect((await paramedic(["cancel", id, "--reason", "late"])).code).toBe(1);
});

test("pause stops what starts, resume lets it go on", async () => {
  expect(await paramedic(["pause", "1h", "--reason", "incident"])).toMatchObject({ code: 0 });
  const run = await service.fire({ alertname: "DatabaseOverload", service: "ward" });
  await until(async () => (await service.run(run)).waitingFor === "switch", { what: "the run to wait for the switch" });
  expect(await paramedic(["resume"])).toMatchObject({ code: 0 });
  expect(await service.ended(run)).toMatchObject({ outcome: "nothing-to-do" });
});

/** What a command prints with --json, which must be all that it prints. */
async function json(args: readonly string[], { code = 0, token = tokens.approver } = {}) {
  const answer = await paramedic([...args, "--json"], token);
  expect({ args, ...answer }).toMatchObject({ args, code });
  return JSON.parse(answer.output);
}

test("every command prints the API's JSON and nothing else, and says by its exit code how it came out", async () => {
  const busy = await patient.session();
  busy.start("SELECT pg_sleep(600)");
  const asked = async (): Promise<string> => {
    const start = ["run", "cancel-after-approval", "ward", "olderThanSeconds=1", "--reason", "a test"];
    const { id } = await json(start, { token: tokens.operator });
    await until(async () => (await service.run(id)).waitingFor === "approval", { what: "the run to ask" });
    return id;
  };
  await until(
    async () =>
      (
        await patient.admin(
          "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND now() - query_start > interval '2 s'",
          [busy.pid],
        )
      ).length === 1,
    { what: "the query to be old enough" },
  );
  const cancelled = await asked();
  expect((await json(["runs", "--limit", "1"])).runs).toMatchObject([{ id: cancelled, waitingFor: "approval" }]);
  expect(await json(["cancel", cancelled, "--reason", "a test"])).toMatchObject({ id: cancelled });
  expect(await json(["show", cancelled, "--follow"], { code: 1 })).toMatchObject({ outcome: "cancelled" });
  const declined = await asked();
  expect(await json(["decline", declined, "--yes", "--reason", "a test"])).toMatchObject({ state: "declined" });
  expect(await json(["show", declined])).toMatchObject({ id: declined, approvals: [{ state: "declined" }] });
  const approved = await asked();
  expect(await json(["approve", approved, "--yes"])).toMatchObject({ state: "approved" });
  expect(await json(["show", approved, "--follow"])).toMatchObject({ state: "ended", outcome: "fixed" });

  const helpless = ["run", "helpless", "ward", "--reason", "a test", "--follow"];
  const { id } = await json(helpless, { code: 1, token: tokens.operator });
  expect(await json(["ack", id])).toMatchObject({ id, outcome: "ineffective" });
  expect(await json(["pause", "1h", "--reason", "a test"])).toMatchObject({ paused: true });
  expect(await json(["resume", "--reason", "a test"])).toMatchObject({ paused: false });
  expect(await json(["mitigations"])).toMatchObject({ mitigations: [] });
});

test.each([
  ["no token", ["runs"], null, 2, "PARAMEDIC_TOKEN is not set"],
  ["a wrong token", ["runs"], "not-the-token-at-all", 1, "bearer token"],
  ["an unknown playbook", ["run", "nothing", "ward", "--reason", "x"], tokens.operator, 1, "playbook"],
  ["a missing reason", ["run", "cancel-after-approval", "ward"], tokens.operator, 2, "--reason"],
  ["a wrong input", ["run", "cancel-after-approval", "ward", "older=1", "--reason", "x"], tokens.operator, 1, "older"],
  ["a run that is none", ["show", "nonsense"], tokens.approver, 1, "run"],
  ["an unknown command", ["heal"], tokens.approver, 2, "heal"],
  ["a wrong duration", ["pause", "soon", "--reason", "x"], tokens.approver, 2, "duration"],
] as const)("%s is said in a sentence, with its exit code", async (_, args, token, code, words) => {
  const answer = await paramedic(args, token);
  expect(answer.output).toContain(words);
  expect(answer.code).toBe(code);
});
