/** A message of the Slack double as lines of text, as Slack would show it to a reader. */

/** Lines with a style, in order. `names` says who the user ids are. */
export function linesOf({ blocks, text }, names) {
  const lines = blocks.length > 0 ? blocks.flatMap(linesOfBlock) : [{ text }];
  return lines.flatMap(({ text: shown, style }) =>
    readable(shown, names)
      .split("\n")
      .map((line) => ({ text: line, style })),
  );
}

function linesOfBlock(block) {
  switch (block.type) {
    case "header":
      return [{ text: block.text.text, style: "bold" }];
    case "actions":
      return [{ text: block.elements.map((button) => `[ ${button.text.text} ]`).join("  "), style: "cyan" }];
    case "context":
      return block.elements.map((element) => ({ text: element.text, style: "dim" }));
    case "divider":
      return [];
    default:
      return [block.text, ...(block.fields ?? [])].filter(Boolean).map((part) => ({ text: part.text }));
  }
}

/** Slack's marks for times, people and bold letters, as a reader sees them; times in UTC. */
export function readable(text, names) {
  return text
    .replaceAll(/<!date\^[^|>]*\|([^>]*)>/g, "$1")
    .replaceAll(/<@(\w+)>/g, (_, id) => `@${names[id] ?? id}`)
    .replaceAll(/\*([^*\n]+)\*/g, "$1")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
