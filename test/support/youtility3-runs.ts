/** How the runs of the stack are found and waited for, and what Prometheus knows of the day before. */

import type { RunView } from "../../src/api/run-view.ts";
import { tell } from "../../src/domain/story.ts";
import type { Service } from "./service.ts";
import { until } from "./until.ts";

/** The runs that alerts of this name have started, newest first. */
export async function runsOf(service: Service, alertname: string): Promise<readonly { readonly id: string }[]> {
  const { body: seen } = await service.api("GET", "/api/v1/episodes?limit=100");
  const of = seen.episodes.filter(
    ({ labels }: { labels: Record<string, string> }) => labels["alertname"] === alertname,
  );
  const { body } = await service.api("GET", "/api/v1/runs?limit=100");
  return body.runs.filter((run: { episodeId: string }) => of.some(({ id }: { id: string }) => id === run.episodeId));
}

/** Fires an alert of this name by the webhook, resolves it once its run has ended, and returns that run. */
export async function lateAlert(service: Service, alertname: string): Promise<RunView> {
  const alert = {
    labels: { alertname, service: "youtility3", severity: "critical" },
    fingerprint: "1a7e".padStart(16, "0"),
    startsAt: new Date().toISOString(),
  };
  const { status, body } = await service.notify([alert]);
  const id = body?.runs?.[0]?.id;
  if (!id) throw new Error(`No run was started: ${status} ${JSON.stringify(body)}`);
  const ended = await endOf(service, id);
  await service.notify([{ ...alert, status: "resolved" }]);
  return ended;
}

/** The run as it ends; where it does not, the failure says how far it came. */
export async function endOf(service: Service, id: string): Promise<RunView> {
  let run: RunView | undefined;
  const far = () => run?.events.map((event) => `${event.at} ${tell(event).text}`).join("\n");
  return await until(
    async () => {
      run = await service.run(id);
      return run.state === "ended" ? run : null;
    },
    { timeoutMs: 90_000, everyMs: 100, what: () => `run ${id} to end; so far:\n${far()}` },
  );
}

/** The ids of all runs once all of them and all alerts are over; null: not yet. */
export async function idsWhenCalm(service: Service, prometheusUrl: string): Promise<readonly string[] | null> {
  const response = await fetch(`${prometheusUrl}/api/v1/alerts`, { headers: { connection: "close" } });
  const { data } = (await response.json()) as { readonly data: { readonly alerts: readonly unknown[] } };
  const { body: seen } = await service.api("GET", "/api/v1/episodes?status=firing");
  const { body } = await service.api("GET", "/api/v1/runs?limit=100");
  const runs = body.runs as readonly { readonly id: string; readonly state: string }[];
  const isCalm = data.alerts.length === 0 && seen.episodes.length === 0 && runs.every(({ state }) => state === "ended");
  return isCalm ? runs.map(({ id }) => id) : null;
}

/** The same value every five minutes, from thirty hours ago to a day ago. */
export function historyOf(
  yesterday: Readonly<Record<string, number>>,
  instance: string,
): Readonly<Record<string, readonly (readonly [number, number])[]>> {
  const now = Math.floor(Date.now() / 1_000);
  const times = Array.from({ length: 80 }, (_, index) => now - 30 * 3_600 + index * 300);
  return Object.fromEntries(
    Object.entries(yesterday).map(([name, value]) => [
      `${name}{instance="${instance}",job="youtility3"}`,
      times.map((time) => [time, value] as const),
    ]),
  );
}
