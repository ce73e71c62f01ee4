/** Looks at Prometheus and Alertmanager themselves for what becomes of an alert. */

import { pause } from "../demo/paramedic.mjs";

/** Says when the alert is pending, fires, is with Alertmanager and is over; until then, or `isDone`. `seen` is called at the first sign. */
export async function watchAlert({ prometheus, alertmanager }, alertname, { say, seen, isDone }) {
  let [state, passedOn] = ["inactive", false];
  for (; !isDone(); await pause(150)) {
    const alert = await alertIn(prometheus, alertname).catch(() => null);
    const now = alert?.state ?? "inactive";
    if (now !== state) say("Prometheus", saying(now, alertname, alert));
    if (state === "firing" && now === "inactive") return;
    if (now !== "inactive") seen();
    state = now;
    if (passedOn || state !== "firing") continue;
    passedOn = await isIn(alertmanager, alertname).catch(() => false);
    if (passedOn) say("Alertmanager", "has it, and tells Paramedic by its webhook");
  }
}

function saying(state, alertname, alert) {
  if (state === "pending") return `measures it: ${alertname} is pending`;
  if (state === "firing") return `${alertname} fires: ${alert.annotations.summary}`;
  return `${alertname} is over`;
}

async function alertIn(prometheus, alertname) {
  const { data } = await json(`${prometheus}/api/v1/alerts`);
  return data.alerts.find(({ labels }) => labels.alertname === alertname) ?? null;
}

async function isIn(alertmanager, alertname) {
  const found = await json(`${alertmanager}/api/v2/alerts?filter=${encodeURIComponent(`alertname="${alertname}"`)}`);
  return found.length > 0;
}

async function json(url) {
  const response = await fetch(url, { headers: { connection: "close" }, signal: AbortSignal.timeout(2_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return await response.json();
}
