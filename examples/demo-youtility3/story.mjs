/** What a newcomer sees, from the stack that is up to what is put back later. */

import { follow, program } from "../demo/paramedic.mjs";
import { happened, heading, list, paint, table } from "../demo/screen.mjs";
import { showMitigations, showTold } from "./afterwards.mjs";
import { watchAlert } from "./alerts.mjs";
import { answer, nameEverybody } from "./question.mjs";
import { stories } from "./stories.mjs";
import { createTeller } from "./tell.mjs";

/** Wide enough for the longest name of a step. */
const room = 14;
const longestRunMs = 3_600_000;
const alertEndsWithinMs = 20_000;
const inAHurry =
  "alerts fire after 1 s in place of minutes, averages look back 6 s in place of 10 minutes, a restart is watched for 2 s in place of 10, measurements may take 30 s in place of minutes, and there is no cool-down";

/** Shows where everything is, and what is quicker than in production. */
export function introduce(stack, name) {
  const { application, prometheus, alertmanager } = stack.addresses;
  const { hurry } = stories[name];
  nameEverybody(stack.callers.slack);
  heading("The stack is up", "as in production, on this machine");
  list([
    [
      "application",
      `${application}  a Django project, youtility3.service of a real systemd, on a real Postgres and Redis`,
    ],
    ["Prometheus", `${prometheus}/alerts  scrapes it each second, with the rules of examples/youtility3`],
    ["Alertmanager", alertmanager],
    ["Paramedic", `${stack.service.url}  with the playbook ${name} as it ships`],
    ["people", "stand-ins for Slack, PagerDuty and the status page, and a mail server, in the demo itself"],
    ["in a hurry", `${inAHurry}${hurry ? `; ${hurry}` : ""}`],
  ]);
}

/** Breaks it, and tells what comes of that. Returns the run and its outcome. */
export async function heal(stack, stage, name, key) {
  const { trouble } = stage;
  heading("The trouble", stories[name].trouble);
  const begunAt = Date.now();
  const say = (who, what, more = {}) => happened({ after: Date.now() - begunAt, who, what, room, ...more });
  say("demo", "breaks it");
  await trouble.cause(stack);
  say("demo", "has broken it");

  let watchUntil = Number.POSITIVE_INFINITY;
  const { before, run, watching } = await notice(stack, trouble, name, say, () => Date.now() > watchUntil);
  heading("The run", "what Paramedic does, as it happens");
  const outcome = await tellRun(stack, stage, run, begunAt, key);
  // What is not healed goes on firing.
  watchUntil = Date.now() + (outcome === "fixed" ? alertEndsWithinMs : 0);
  await watching;
  const after = await stories[name].look(stack);
  console.log(paint(outcome === "fixed" ? "green" : "red", `\n${paint("bold", "The outcome")}: ${outcome}`));
  table([
    ["", "before", "after", "limit"],
    ...before.map(([what, much, limit], row) => [what, much, after[row][1], limit]),
  ]);
  await showTold(stack, run);
  await showMitigations(stack.service, run);
  return { run, outcome };
}

/** Waits until somebody has noticed and a run has begun. `before` are the figures at the first sign. */
async function notice(stack, trouble, name, say, isDone) {
  const look = async () => {
    const rows = await stories[name].look(stack);
    for (const [what, much, limit] of rows)
      say("now", `${what} ${much}${limit ? ` (the limit is ${limit})` : ""}`, { style: "yellow" });
    return rows;
  };
  if (trouble.alertname === null) {
    const before = await look();
    say("engineer", "asks Paramedic over REST: its alert compares with yesterday, and there is none here");
    return { before, run: await stack.request({}) };
  }
  const noticed = stack.noticed(trouble.alertname);
  let sign = () => {};
  const seen = new Promise((resolve) => {
    sign = resolve;
  });
  const watching = watchAlert(stack.addresses, trouble.alertname, { say, seen: sign, isDone });
  await Promise.race([seen, noticed]);
  return { before: await look(), run: await noticed, watching };
}

/** Tells the run as the API sends it, and has its questions answered meanwhile. Returns the outcome. */
async function tellRun(stack, stage, run, begunAt, key) {
  const tell = createTeller();
  const over = new Set();
  let [isEnded, asked] = [false, Promise.resolve()];
  for await (const event of follow(stack.service.url, stage.token, run, longestRunMs)) {
    const told = tell(event);
    if (told) happened({ after: Math.max(0, Date.parse(event.at) - begunAt), room, ...told });
    if (isAnswered(event)) over.add(event.approval);
    if (event.type === "approval-requested") {
      asked = answer({
        slack: stack.callers.slack,
        asking: stage.askedIn(stack.callers, run, 30_000),
        waiting: stage.trouble.people,
        key,
        isOver: () => isEnded || over.has(event.approval),
      }).catch((error) => console.error(paint("red", `  The question could not be answered: ${error.message}`)));
    }
    if (event.type !== "ended") continue;
    isEnded = true;
    await asked;
    return event.outcome;
  }
  throw new Error(`The events of the run ${run} broke off before it ended.`);
}

function isAnswered({ type, state }) {
  return (
    type === "approval-expired" || type === "approval-voided" || (type === "approval-answered" && state !== "pending")
  );
}

/** What can be looked at while everything stays up. */
export function suggest({ service, systemd, addresses }, token, run) {
  heading("Look around", "everything stays up until Ctrl-C; this is for another terminal");
  console.log(`
  export PARAMEDIC_URL=${service.url}
  export PARAMEDIC_TOKEN=${token}
  paramedic() { node ${program} "$@"; }
  paramedic show ${run}
  paramedic mitigations
  curl -sS ${addresses.application}/monitoring/dashboard/
  nsenter -t ${systemd.pid} -m -p -C -i -u systemctl status youtility3.service
`);
}
