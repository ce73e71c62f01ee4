/**
 * Text for Slack. What others wrote goes into `plain_text` objects, where Slack reads no markup, mention or link; Slack's
 * own markup (`mrkdwn`) holds only what is ours: dates, ids of people, addresses and commands.
 */

import type { JsonObject } from "../../domain/json.ts";
import { oneLine } from "../one-line.ts";

/** One line that Slack shows as it stands, at most `longest` UTF-16 units; never empty, which Slack refuses. */
export function plain(text: string, longest: number): JsonObject {
  return plainLines([oneLine(text, longest)]);
}

/** Lines that are safe one by one already, shown as they stand. */
export function plainLines(lines: readonly string[]): JsonObject {
  // With `emoji: false`, `:tada:` stays six letters.
  return { type: "plain_text", text: lines.join("\n") || "–", emoji: false };
}

/** Slack's markup, of our own making. */
export function markup(text: string): JsonObject {
  // `verbatim`: nothing becomes a link or a mention but what is marked as one.
  return { type: "mrkdwn", text, verbatim: true };
}

/** The three characters by which Slack's markup begins links, mentions and entities. */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A command, an id or a name as code, which Slack's markup leaves alone inside. */
export function code(text: string): string {
  return `\`${codeText(text)}\``;
}

/** Lines to copy, as one block of code. */
export function codeBlock(lines: readonly string[]): string {
  return `\`\`\`\n${lines.map(codeText).join("\n")}\n\`\`\``;
}

function codeText(text: string): string {
  return escaped(oneLine(text, 1_000).replaceAll("`", "'")) || "–";
}

const lookAlikes: Readonly<Record<string, string>> = { "*": "∗", _: "ˍ", "~": "∼", "`": "ˋ" };

/**
 * One line for the `text` of a message, which phones show as the notification: always markup, with no way to say that it
 * is not. So marks become characters that look like them, and a word joiner keeps names of emoji, people and channels and
 * addresses apart from their mark.
 */
export function notification(text: string, longest: number): string {
  const line = oneLine(text, longest)
    .replace(/(?<![\p{L}\p{N}])[*_~`]|[*_~`](?![\p{L}\p{N}])/gu, (mark) => lookAlikes[mark] ?? mark)
    .replaceAll("`", "ˋ")
    .replace(/[@#](?=\S)|:(?=[\p{L}\p{N}_+'-]+:|\/\/)/gu, (mark) => `${mark}\u2060`);
  return escaped(line);
}

/** Who did something: a mention where it is a user of Slack, else the name as code. `by` is `slack:<user id>` or `api:<token>`. */
export function person(by: string): string {
  const id = slackUser(by);
  return id === null ? code(oneLine(by, 80)) : `<@${id}>`;
}

/** The Slack user behind a name of the history; null: it is none. */
export function slackUser(by: string): string | null {
  return /^slack:([UW][A-Z0-9]{1,30})$/.exec(by)?.[1] ?? null;
}

/** A time in the reader's own time zone, by Slack's date markup; in UTC where that cannot be shown. */
export function moment(at: string, format: "day" | "seconds" = "day"): string {
  const ms = Date.parse(at);
  if (Number.isNaN(ms)) return code(at);
  const utc = new Date(ms).toISOString();
  const shown = format === "day" ? "{date_short_pretty} at {time}" : "{time_secs}";
  const fallback = format === "day" ? `${utc.slice(0, 16).replace("T", " ")} UTC` : `${utc.slice(11, 19)} UTC`;
  return `<!date^${Math.floor(ms / 1000)}^${shown}|${fallback}>`;
}

/** A link of ours; code where the address could break out of it. */
export function link(url: string, words: string): string {
  return /^https?:\/\/[^\s<>|]{1,1500}$/.test(url) ? `<${escaped(url)}|${words}>` : code(url);
}
