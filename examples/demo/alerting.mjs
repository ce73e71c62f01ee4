/** Fires the alert: through a real Alertmanager, or by a notification recorded from one where there is none. */

import { execFile } from "node:child_process";
import { access, constants, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { bearer, freePort, pause, start } from "./paramedic.mjs";

const program = "prometheus-alertmanager";
/** Where get-alertmanager.sh puts it. */
const fetched = resolve(import.meta.dirname, "../../var/demo/usr/bin");
const recording = join(import.meta.dirname, "recorded-notification.json");

const labels = { alertname: "DatabaseOverload", severity: "critical", service: "youtility3", instance: "db-1" };
const annotations = { summary: "Queries have been holding the database of youtility3 for minutes." };

/** Makes ready whatever can be had. `how` says which it is, for people. */
export async function startAlerting(folder, webhook) {
  const binary = await find();
  return binary ? await withAlertmanager(binary, folder, webhook) : withRecording(webhook);
}

async function withAlertmanager(binary, folder, webhook) {
  const file = join(folder, "alertmanager.yml");
  await writeFile(file, configuration(webhook), { mode: 0o600 });
  const data = join(folder, "alertmanager");
  await mkdir(data);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = start(binary, [
    `--config.file=${file}`,
    `--storage.path=${data}`,
    `--web.listen-address=127.0.0.1:${port}`,
    // Alone: no gossip with others.
    "--cluster.listen-address=",
  ]);
  let ended = false;
  child.ended.then(() => {
    ended = true;
  });
  const ready = () =>
    fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  for (const deadline = Date.now() + 20_000; !(await ready()); await pause(100)) {
    if (!ended && Date.now() < deadline) continue;
    await child.stop();
    throw new Error(`Alertmanager (${binary}) did not start.`);
  }
  return {
    how: `fired through ${await versionOf(binary)} at ${url}`,
    labels,
    fire: () => post(`${url}/api/v2/alerts`, [{ labels, annotations }]),
    stop: child.stop,
  };
}

function withRecording(webhook) {
  return {
    how: `a notification recorded from a real Alertmanager, since ${program} is not installed and could not be fetched`,
    labels,
    fire: async () => {
      const notification = JSON.parse(await readFile(recording, "utf8"));
      for (const alert of notification.alerts) alert.startsAt = new Date().toISOString();
      await post(webhook.url, notification, bearer(webhook.token));
    },
    stop: async () => {},
  };
}

/** JSON is YAML. */
function configuration({ url, token }) {
  return JSON.stringify(
    {
      route: {
        receiver: "paramedic",
        group_by: ["alertname", "service"],
        group_wait: "0s",
        group_interval: "10s",
        repeat_interval: "1h",
      },
      receivers: [
        {
          name: "paramedic",
          webhook_configs: [{ url, send_resolved: true, http_config: { authorization: { credentials: token } } }],
        },
      ],
    },
    null,
    2,
  );
}

async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${answer}`);
}

async function find() {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", fetched];
  for (const folder of folders.filter((one) => one !== "")) {
    const file = join(folder, program);
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  return null;
}

async function versionOf(binary) {
  const { stdout, stderr } = await promisify(execFile)(binary, ["--version"], { timeout: 10_000 });
  return `Alertmanager ${/version (\S+?)[,\s]/.exec(stdout + stderr)?.[1] ?? ""}`.trim();
}
