/** YOUTILITY3's Alertmanager: the shipped routes and inhibitions, with the addresses of a test and without its waiting. */

import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { startAlertmanager, type TestAlertmanager } from "./alertmanager.ts";
import { temporaryFolder } from "./run-folder.ts";

const shipped = resolve("examples/youtility3/alertmanager.yml");

interface Route {
  readonly routes?: readonly Route[];
}

/** Starts one that tells Paramedic; whom else the shipped file tells by mail and by PagerDuty is not told. */
export async function startYoutility3Alertmanager(webhookUrl: string, token: string): Promise<TestAlertmanager> {
  const tokenFile = join(await temporaryFolder("alertmanager-token"), "token");
  await writeFile(tokenFile, token, { mode: 0o600 });
  const { route, receivers, inhibit_rules } = parse(await readFile(shipped, "utf8"));
  const [webhook] = receivers.find(({ name }: { name: string }) => name === "paramedic").webhook_configs;
  const http_config = {
    ...webhook.http_config,
    authorization: { ...webhook.http_config.authorization, credentials_file: tokenFile },
  };
  const told = receivers.map(({ name }: { name: string }) =>
    name === "paramedic" ? { name, webhook_configs: [{ ...webhook, url: webhookUrl, http_config }] } : { name },
  );
  return startAlertmanager({ configuration: { route: hurried(route), receivers: told, inhibit_rules } });
}

function hurried({ routes = [], ...route }: Route): object {
  return { ...route, group_wait: "100ms", group_interval: "1s", repeat_interval: "1h", routes: routes.map(hurried) };
}
