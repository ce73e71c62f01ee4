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

/** An alert that was told by the webhook, and not noticed by Prometheus. */
export interface Posted {
  /** The run that it has started. */
  readonly run: string;
  /** Tells that it is over. */
  resolve(): Promise<unknown>;
}

/** Tells of an alert by the webhook, as Alertmanager does. */
export async function postAlert(service: Service, labels: Readonly<Record<string, string>>): Promise<Posted> {
  const alert = { labels, fingerprint: "1a7e".padStart(16, "0"), startsAt: new Date().toISOString() };
  const { status, body } = await service.notify([alert]);
  const run = body?.runs?.[0]?.id;
  if (!run) throw new Error(`No run was started: ${status} ${JSON.stringify(body)}`);
  return { run, resolve: () => service.notify([{ ...alert, status: "resolved" }]) };
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

/** The names of the alerts that are pending or firing in Prometheus. */
export async function alertsIn(prometheusUrl: string): Promise<readonly string[]> {
  const response = await fetch(`${prometheusUrl}/api/v1/alerts`, { headers: { connection: "close" } });
  const { data } = (await response.json()) as { data: { alerts: readonly { labels: Record<string, string> }[] } };
  return data.alerts.map(({ labels }) => labels["alertname"] ?? "");
}

/** Whether Prometheus was answered when it asked last; null: it has not asked yet. */
export async function isUp(prometheusUrl: string): Promise<boolean | null> {
  const response = await fetch(`${prometheusUrl}/api/v1/query?query=up`, { headers: { connection: "close" } });
  const { data } = (await response.json()) as { data: { result: readonly { value: readonly [number, string] }[] } };
  const [up] = data.result;
  return up ? up.value[1] === "1" : null;
}

/** The ids of all runs once all of them and all alerts are over; rejects with what goes on until then. */
export async function idsWhenCalm(service: Service, prometheusUrl: string): Promise<readonly string[]> {
  const alerts = await alertsIn(prometheusUrl);
  const { body: seen } = await service.api("GET", "/api/v1/episodes?status=firing");
  const { body } = await service.api("GET", "/api/v1/runs?limit=100");
  const runs = body.runs as readonly { readonly id: string; readonly state: string; readonly waitingFor: string }[];
  const going = runs.filter(({ state }) => state !== "ended");
  if (alerts.length + seen.episodes.length + going.length === 0) return runs.map(({ id }) => id);
  throw new Error(
    JSON.stringify({ alerts, episodes: seen.episodes.map(({ labels }: { labels: object }) => labels), going }),
  );
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
