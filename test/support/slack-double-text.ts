/** What people see of a message of the Slack double: its text as it is shown, and what in it is live. */

import { type Fields, isFields } from "./slack-double-blocks.ts";

interface Said {
  readonly text: string;
  readonly blocks: readonly Fields[];
}

interface TextObject {
  readonly text: string;
  readonly isMarkup: boolean;
  readonly verbatim: boolean;
}

/** All texts of the blocks, or the text where there are none, one a line, as a reader sees the characters. */
export function shownText(said: Said): string {
  return textsOf(said)
    .map(({ text, isMarkup }) => (isMarkup ? unescaped(text) : text))
    .join("\n");
}

/**
 * Every mention, link and channel that Slack would make live, as written: `<!channel>`, `<@U1>`, `<https://…|Approve>`,
 * and a bare address or `@channel` in markup that is not verbatim. The text beside blocks counts: it makes notifications.
 */
export function liveMarkup(said: Said): readonly string[] {
  const beside = said.blocks.length > 0 && said.text !== "" ? [markup(said.text)] : [];
  return [...textsOf(said), ...beside].flatMap(({ text, isMarkup, verbatim }) => {
    if (!isMarkup) return [];
    const angled = text.match(/<[^<>\s][^<>]*>/g) ?? [];
    const rest = text.replace(/<[^<>]*>/g, " ");
    const automatic = verbatim
      ? []
      : (rest.match(/\b(?:https?|mailto):[^\s]+|(?<![\w@])@(?:channel|here|everyone)\b/g) ?? []);
    return [...angled, ...automatic];
  });
}

/** The buttons: action id -> text and value. */
export function buttonsOf(said: Said): ReadonlyMap<string, { readonly text: string; readonly value: string }> {
  const elements = said.blocks.flatMap((block) => [
    ...(Array.isArray(block["elements"]) ? block["elements"] : []),
    block["accessory"],
  ]);
  const buttons = elements.filter(isFields).filter(({ type }) => type === "button");
  return new Map(
    buttons.map((button) => {
      const text = isFields(button["text"]) ? String(button["text"]["text"]) : "";
      return [String(button["action_id"]), { text, value: String(button["value"] ?? "") }];
    }),
  );
}

function textsOf({ text, blocks }: Said): readonly TextObject[] {
  return blocks.length === 0 ? [markup(text)] : blocks.flatMap(textsIn);
}

function textsIn(value: unknown): readonly TextObject[] {
  if (Array.isArray(value)) return value.flatMap(textsIn);
  if (!isFields(value)) return [];
  if (typeof value["text"] === "string") {
    const { type, text, verbatim } = value;
    return [{ text, isMarkup: type === "mrkdwn" || type === "markdown", verbatim: verbatim === true }];
  }
  return Object.values(value).flatMap(textsIn);
}

/** A message's own text: markup whose bare addresses are made links. */
function markup(text: string): TextObject {
  return { text, isMarkup: true, verbatim: false };
}

function unescaped(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
