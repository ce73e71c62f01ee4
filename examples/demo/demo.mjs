/**
 * The demo: a real database in trouble, a real alert, and Paramedic's answer to it, step by step as it happens. Needs
 * `dist/` and nothing else. Stays up until Ctrl-C, or ends with DEMO_EXIT=1: exit code 0 only if exactly the three
 * queries in question were cancelled and the run's outcome is `fixed`.
 */

import { randomBytes } from "node:crypto";
import { chmod, cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAlerting } from "./alerting.mjs";
import { narrate } from "./narrate.mjs";
import { firstRun, follow, get, program, startParamedic } from "./paramedic.mjs";
import { examine, openSessions, startPatient } from "./patient.mjs";
import { countdown, happened, heading, paint, table } from "./screen.mjs";

/** The playbook's `olderThanSeconds`, and a moment more. */
const patienceMs = 5_500;
const here = import.meta.dirname;

const interrupted = new Promise((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => resolve("interrupted"));
});
const closers = [];
let stopping = false;

/** Sees to it that what is being started is stopped in the end, also where the demo ends in between. */
async function opened(start, close) {
  if (stopping) throw new Error("interrupted");
  const starting = start();
  closers.unshift(async () => {
    const started = await starting.catch(() => null);
    if (started) await close(started);
  });
  return await starting;
}

async function demo() {
  const folder = await opened(newFolder, (made) => rm(made, { recursive: true, force: true, maxRetries: 5 }));
  const tokens = { alertmanager: randomBytes(24).toString("hex"), demo: randomBytes(24).toString("hex") };

  const patient = await opened(
    () => startPatient(join(folder, "patient")),
    (one) => one.stop(),
  );
  const { sessions, startedAt } = await opened(
    () => openSessions(patient),
    (one) => one.close(),
  );
  heading("The patient", `a PostgreSQL server at ${patient.address}, database youtility3, with six sessions`);
  table(
    sessions.map(({ pid, user, sql, does }) => [`pid ${pid}`, user, sql, does]),
    (row, line) => (row[3] === "runs for two hours" ? paint("yellow", line) : line),
  );

  const paramedic = await opened(
    () =>
      startParamedic(folder, {
        ALERTMANAGER_TOKEN: tokens.alertmanager,
        DEMO_TOKEN: tokens.demo,
        PATIENT_DATABASE_URL: patient.paramedicUrl,
      }),
    (one) => one.stop(),
  );
  heading("The doctor", `Paramedic at ${paramedic.url}, with a database of its own`);
  const { playbooks } = await get(paramedic.url, tokens.demo, "/api/v1/playbooks");
  table([
    ["knows", `the playbook ${playbooks[0].name}: ${playbooks[0].summary}`],
    ["may", "see all sessions of the patient and cancel queries there; its role is no superuser"],
  ]);

  const webhook = { url: `${paramedic.url}/webhooks/alertmanager`, token: tokens.alertmanager };
  const alerting = await opened(
    () => startAlerting(folder, webhook),
    (one) => one.stop(),
  );
  const { alertname, service } = alerting.labels;
  heading("The alert", `${alertname} for service ${service}`);
  await countdown("waiting until the three have run for more than five seconds", startedAt + patienceMs);
  console.log(`  ${alerting.how}`);

  heading("The run", "what Paramedic does, as it happens");
  const firedAt = Date.now();
  await alerting.fire();
  const run = await firstRun(paramedic.url, tokens.demo, 20_000);
  let outcome = null;
  for await (const event of follow(paramedic.url, tokens.demo, run, 60_000)) {
    happened({ after: Math.max(0, Date.parse(event.at) - firedAt), ...narrate(event) });
    if (event.type === "ended") outcome = event.outcome;
  }

  const found = await examine(patient, sessions);
  const right = sessions.map(({ wanted }, index) => wanted === found[index]);
  heading("The patient again", "asked without Paramedic");
  table(
    sessions.map(({ pid, user, does }, index) => [`pid ${pid}`, user, does, found[index], right[index] ? "" : "WRONG"]),
    (row, line) => (row[4] ? paint("red", line) : line),
  );
  const healed = outcome === "fixed" && right.every(Boolean);
  if (healed) {
    const sentence = "Exactly the three were cancelled, the others were left alone, and that it helped was measured.";
    console.log(paint("green", `\n  ${sentence}`));
  } else {
    console.log(paint("red", `\n  This went wrong: the outcome is ${outcome}. The end of Paramedic's own log:`));
    console.log((await readFile(paramedic.logFile, "utf8")).trimEnd().split("\n").slice(-10).join("\n"));
  }
  return { healed, url: paramedic.url, token: tokens.demo, run };
}

/** The server's user, which is another one where this is root, must be able to go there. */
async function newFolder() {
  const folder = await mkdtemp(join(tmpdir(), "paramedic-demo-"));
  await chmod(folder, 0o711);
  await mkdir(join(folder, "var"), { mode: 0o711 });
  await cp(join(here, "paramedic.yaml"), join(folder, "paramedic.yaml"));
  await cp(join(here, "playbooks"), join(folder, "playbooks"), { recursive: true });
  return folder;
}

function suggest({ url, token, run }) {
  heading("Look around", "everything stays up until Ctrl-C");
  console.log(`
  export PARAMEDIC_URL=${url} PARAMEDIC_TOKEN=${token}
  paramedic() { node ${program} "$@"; }
  api() { curl -sS -H "authorization: Bearer $PARAMEDIC_TOKEN" "$PARAMEDIC_URL$1"; echo; }

  paramedic show ${run}
  paramedic run database-overload youtility3 --reason "what would it do now?" --dry-run --follow
  paramedic pause 1h --reason "the kill switch"
  paramedic resume --reason "go on"
  api /api/v1/runs/${run}   # steps, effects and every event as JSON
  api /api/v1/episodes                                    # the alert as Paramedic knows it
  api /metrics | grep ^paramedic_
`);
}

async function main() {
  console.log(paint("bold", "Paramedic: a database in trouble, an alert, and what is done about it"));
  const story = demo();
  const told = await Promise.race([story, interrupted]);
  if (told === "interrupted") {
    story.catch(() => {});
    return 1;
  }
  if (process.env["DEMO_EXIT"] !== "1") {
    suggest(told);
    await interrupted;
  }
  return told.healed ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(paint("red", `\nThe demo failed: ${error.message}`));
  process.exitCode = 1;
} finally {
  stopping = true;
  if (process.env["DEMO_EXIT"] !== "1") console.log("\nStopping everything that was started …");
  for (const close of closers) await close().catch((error) => console.error(`Could not be stopped: ${error.message}`));
}
// Whatever still holds the process open belongs to what was stopped.
process.exit();
