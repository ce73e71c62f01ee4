/** What is left of a run: whom it told, by which way, and what is put back later. */

import { pause } from "../demo/paramedic.mjs";
import { heading, list } from "../demo/screen.mjs";

/** Waits until nobody is told any more, for two seconds, at most ten; then says who was, of this run. */
export async function showTold({ callers, statusPage }, run) {
  const about = (value) => JSON.stringify(value).includes(run);
  const told = () => ({
    mails: callers.mail.mails.filter(({ raw }) => raw.includes(run)),
    slack: callers.slack.messages().filter(about),
    pages: pagesOf(callers.pagerDuty.requests, about),
    status: statusPage.entries.filter(about),
  });
  for (let [before, quiet, waited] = [about(""), 0, 0]; quiet < 2_000 && waited < 10_000; waited += 250) {
    const now = JSON.stringify(told());
    quiet = now === before ? quiet + 250 : 0;
    before = now;
    await pause(250);
  }
  const { mails, slack, pages, status } = told();
  heading("Who was told");
  list([
    ...mails.map(({ to, raw }) => ["mail", `${to.join(", ")}: ${subjectOf(raw)}`]),
    ...slack.map(({ text }) => ["Slack", `#ops: ${plain(text)}`]),
    ...pages.map(({ path, body }) => ["PagerDuty", page(path, body)]),
    ...(pages.some(({ path }) => path === "/v2/enqueue") ? [] : [["PagerDuty", "nobody is called"]]),
    ...status.map(({ updates }) => [
      "status page",
      `${updates.map(({ status: word }) => word).join(", then ")}: ${updates.at(-1).body}`,
    ]),
  ]);
}

/** What the run changed for a time. What goes back with the alert is waited for, at most 30 seconds. */
export async function showMitigations(service, run) {
  const ofRun = async () => {
    const { body } = await service.api("GET", "/api/v1/mitigations");
    return body.mitigations.filter(({ runId }) => runId === run);
  };
  const isDue = ({ onResolved, state }) => onResolved && (state === "in-force" || state === "reverting");
  let mitigations = await ofRun();
  for (let waited = 0; mitigations.some(isDue) && waited < 30_000; waited += 500) {
    await pause(500);
    mitigations = await ofRun();
  }
  heading(
    "What is put back later",
    mitigations.length === 0 ? "nothing, since nothing was changed for a time only" : "",
  );
  if (mitigations.length > 0) list(mitigations.map((one) => [one.step, `${one.effects[0]}: ${whatBecomes(one)}`]));
}

function whatBecomes({ state, revertAt, endedAt, onResolved }) {
  if (state === "reverted") return `put back, at ${clock(endedAt)}`;
  if (state !== "in-force") return state;
  const after = onResolved ? "when the alert is over, or " : "";
  return `put back ${after}at ${clock(revertAt)}, by itself; until then somebody may keep it, or put it back now`;
}

/** An incident that is resolved names itself only. */
function pagesOf(requests, about) {
  const keys = new Set(requests.filter(about).map(({ body }) => body.dedup_key));
  return requests.filter((one) => about(one) || (one.body.dedup_key && keys.has(one.body.dedup_key)));
}

function page(path, body) {
  if (path !== "/v2/enqueue") return `notes the change: ${body.payload.summary}`;
  return body.event_action === "trigger"
    ? `calls people (${body.payload.severity}): ${body.payload.summary}`
    : body.event_action;
}

function subjectOf(raw) {
  return /^Subject: (.*(?:\r\n[ \t].*)*)/m.exec(raw)?.[1].replaceAll(/\r\n[ \t]+/g, " ") ?? "";
}

function plain(text) {
  return text.split("\n")[0].replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function clock(time) {
  return `${time.slice(0, 16).replace("T", " ")} UTC`;
}
