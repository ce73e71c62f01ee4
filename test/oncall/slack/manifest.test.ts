/** Holds that the manifests of the documents ask for what the code uses, and for nothing else. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { commandName } from "../../../src/oncall/slack/commands.ts";
import { requestPath } from "../../../src/oncall/slack/receiver.ts";

const root = join(__dirname, "..", "..", "..");
const document = readFileSync(join(root, "docs/slack.md"), "utf8");
const manifests = [...document.matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => parse(match[1] as string));
const [http, socket] = manifests;

/** What each method of the Web API needs, as its page at docs.slack.dev says; null: any token will do. */
const scopeOf: Readonly<Record<string, string | null>> = {
  "auth.test": null,
  "chat.getPermalink": null,
  "chat.postEphemeral": "chat:write",
  "chat.postMessage": "chat:write",
  "chat.update": "chat:write",
  "usergroups.users.list": "usergroups:read",
  "users.info": "users:read",
  "views.open": null,
};

const folder = join(root, "src/oncall/slack");
const used = new Set(
  readdirSync(folder).flatMap((name) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/"((?!slack\.)[a-z]+(?:\.[a-zA-Z]+)+)"/g)].map(
      (match) => match[1],
    ),
  ),
);

test("there is one for each way in which Slack reaches us, and they differ in nothing else", () => {
  expect(manifests.map(({ settings }) => settings.socket_mode_enabled)).toEqual([false, true]);
  const alike = JSON.parse(JSON.stringify(http));
  alike.settings.socket_mode_enabled = true;
  delete alike.settings.interactivity.request_url;
  delete alike.features.slash_commands[0].url;
  expect(socket).toEqual(alike);
});

test("the command and the addresses are those that are listened to", () => {
  expect(http.features.slash_commands.map(({ command }: { command: string }) => command)).toEqual([commandName]);
  const addresses: string[] = [http.features.slash_commands[0].url, http.settings.interactivity.request_url];
  for (const address of addresses) expect(new URL(address).pathname).toBe(requestPath);
  expect(http.settings.interactivity.is_enabled).toBe(true);
  // What people type arrives as they typed it.
  expect(http.features.slash_commands[0].should_escape).toBe(false);
});

test("the scopes are those that the methods in the code need, and the command's own", () => {
  expect([...used].filter((method) => !Object.hasOwn(scopeOf, method as string))).toEqual([]);
  expect(Object.keys(scopeOf).filter((method) => !used.has(method))).toEqual([]);
  const needed = new Set(["commands", ...Object.values(scopeOf).filter((scope) => scope !== null)]);
  expect([...http.oauth_config.scopes.bot].sort()).toEqual([...needed].sort());
  for (const scope of needed) expect(document).toMatch(new RegExp(`^\\| \`${scope}\` `, "m"));
});
