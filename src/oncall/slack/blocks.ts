/** The blocks that Slack's messages are built of, each within Slack's limits whatever it is given. */

import type { JsonObject } from "../../domain/json.ts";
import { oneLine } from "../one-line.ts";
import { type AnswerValue, acknowledgeId, approveId, buttonValue, declineId, showAllId } from "./action-ids.ts";
import { code, link, markup, plain, plainLines } from "./escape.ts";

/** What a message says: `text` is the notification, `blocks` are what the channel shows. */
export interface Saying {
  readonly text: string;
  readonly blocks: readonly JsonObject[];
}

const longestHeader = 150;
/** Slack takes 3000 characters in one text. */
const roomOfSection = 2_900;
const longestEffect = 300;

export function header(text: string): JsonObject {
  return { type: "header", text: plain(text, longestHeader) };
}

/** One line of text that is not ours. */
export function said(text: string, longest = 500): JsonObject {
  return { type: "section", text: plain(text, longest) };
}

/** Our own lines in Slack's markup. Lines beyond what Slack takes are left out whole: markup cut in two is broken. */
export function noted(lines: readonly string[]): JsonObject {
  let left = roomOfSection;
  const fitting = lines.filter((line) => {
    left -= line.length + 1;
    return left >= 0;
  });
  return { type: "section", text: markup(fitting.join("\n") || "–") };
}

/** Small print: text objects side by side, at most ten. */
export function smallPrint(elements: readonly JsonObject[]): JsonObject {
  return { type: "context", elements };
}

/** Approve and Decline where they are asked for, and Show all where the message had no room for all; none: no block. */
export function planButtons(
  value: AnswerValue,
  shown: { readonly asks: boolean; readonly isCut: boolean },
): readonly JsonObject[] {
  const elements = [
    ...(shown.asks
      ? [button("Approve", approveId, "primary", value), button("Decline", declineId, "danger", value)]
      : []),
    ...(shown.isCut ? [button("Show all", showAllId, null, value)] : []),
  ];
  return elements.length > 0 ? [{ type: "actions", elements }] : [];
}

export function acknowledgeButton(run: string): JsonObject {
  return { type: "actions", elements: [button("I have it", acknowledgeId, "primary", { run })] };
}

function button(
  words: string,
  actionId: string,
  style: "primary" | "danger" | null,
  value: Parameters<typeof buttonValue>[0],
): JsonObject {
  const styled = style === null ? {} : { style };
  return { type: "button", text: plain(words, 75), action_id: actionId, ...styled, value: buttonValue(value) };
}

/** Where the whole of a run can be read: its page, or the command that shows it. */
export function whereToRead(run: { readonly url: string | null; readonly run: string }): string {
  const command = code(`paramedic show ${run.run}`);
  return run.url === null ? command : `${link(run.url, "Read the run")} or ${command}`;
}

/** The effects of a plan as blocks; `isCut`: what they say is not all of it. */
export interface ShownEffects {
  readonly blocks: readonly JsonObject[];
  readonly isCut: boolean;
}

/**
 * The effects of a plan, one line each of at most `longest` UTF-16 units, in sections that Slack takes. They get `room`
 * bytes; what has none is counted, and `rest` says where to read it.
 */
export function effectBlocks(
  effects: readonly string[],
  { room, rest, longest = longestEffect }: { readonly room: number; readonly rest: string; readonly longest?: number },
): ShownEffects {
  const lines: string[] = [];
  let left = room;
  for (const effect of effects) {
    const line = `• ${oneLine(effect, longest)}`;
    left -= bytes(line) + 1;
    if (left < 0) break;
    lines.push(line);
  }
  const unshown = effects.length - lines.length;
  const more = unshown > 0 ? [noted([`*… and ${counted(unshown, "more effect")}.* All of them: ${rest}`])] : [];
  const isCut = unshown > 0 || effects.some((effect) => oneLine(effect, Number.POSITIVE_INFINITY).length > longest);
  return { blocks: [...sections(lines), ...more], isCut };
}

/** What was found, a line each; nothing where nothing was. */
export function foundBlocks(lines: readonly string[]): readonly JsonObject[] {
  if (lines.length === 0) return [];
  return [noted(["*What was found:*"]), ...sections(lines.map((line) => `• ${line}`))];
}

function sections(lines: readonly string[]): readonly JsonObject[] {
  const texts: string[][] = [];
  let left = 0;
  for (const line of lines) {
    if (line.length + 1 > left) {
      texts.push([]);
      left = roomOfSection;
    }
    texts.at(-1)?.push(line);
    left -= line.length + 1;
  }
  return texts.map((text) => ({ type: "section", text: plainLines(text) }));
}

/** As Slack gets it: as JSON, in UTF-8. */
function bytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}

/** `1 effect`, `214 effects`. */
export function counted(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
