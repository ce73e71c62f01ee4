/** Alertmanager's notifications as the benchmarks send them: bodies of the real size, each alert one that was never seen. */

/** How many targets there are; alerts go round them, since runs of one target exclude one another. */
export const targetCount = 200;

const marks = { fingerprint: "@fingerprint@", target: "@target@" };

const alert = JSON.stringify({
  status: "firing",
  labels: {
    alertname: "Benchmark",
    instance: "app-server-1.example.net:9187",
    job: "postgres",
    server: "db-1",
    service: marks.target,
    severity: "critical",
  },
  annotations: {
    description: "The longest query has been active for more than five minutes on db-1.",
    runbook_url: "https://runbooks.example.net/database-overload",
    summary: "Database overload on db-1",
  },
  startsAt: "2026-01-05T10:00:00.123456789Z",
  endsAt: "0001-01-01T00:00:00Z",
  generatorURL: "http://prometheus:9090/graph?g0.expr=pg_stat_activity_max_tx_duration+%3E+300&g0.tab=1",
  fingerprint: marks.fingerprint,
});
const parts = alert.split(/(@\w+@)/);

const [before, after] = JSON.stringify({
  version: "4",
  groupKey: '{}:{alertname="Benchmark"}',
  truncatedAlerts: 0,
  status: "firing",
  receiver: "paramedic",
  groupLabels: { alertname: "Benchmark" },
  commonLabels: { alertname: "Benchmark", severity: "critical" },
  commonAnnotations: {},
  externalURL: "http://alertmanager:9093",
  alerts: ["@alerts@"],
}).split('"@alerts@"') as [string, string];

/** The body with `count` alerts, numbered from `first` on; numbers must not repeat within a database. */
export function bodyOf(first: number, count: number): string {
  const alerts = Array.from({ length: count }, (_, index) => alertText(first + index));
  return before + alerts.join(",") + after;
}

/** The labels of alert `number`, as the body has them. */
export function labelsOf(number: number): Readonly<Record<string, string>> {
  return JSON.parse(alertText(number)).labels;
}

export function fingerprintOf(number: number): string {
  return number.toString(16).padStart(16, "0");
}

function alertText(number: number): string {
  const values: Readonly<Record<string, string>> = {
    [marks.fingerprint]: fingerprintOf(number),
    [marks.target]: `service-${number % targetCount}`,
  };
  return parts.map((part) => values[part] ?? part).join("");
}
