/**
 * Checks blocks and modals as Slack does: https://docs.slack.dev/reference/block-kit for the limits that Slack
 * documents, bolt-js#2509 and #2867 for the one that it does not.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** What Slack says against blocks; null: nothing. */
export type BlocksRefused = { readonly error: string; readonly messages: readonly string[] } | null;

/**
 * Slack documents no limit for all blocks of a message together. Measured by others: 13,297 characters in one block are
 * taken, and a divider beside it costs 125 of them.
 */
const largestMessage = 13_297 + 125;
const costOfBlock = 125;
/** "greater than 250kb", https://docs.slack.dev/reference/methods/views.open */
const largestView = 250_000;

const blockTypes = ["section", "header", "divider", "context", "actions", "input", "image", "rich_text", "markdown"];

/** The blocks of a message. */
export function refusalOfBlocks(blocks: unknown): BlocksRefused {
  const problems: string[] = [];
  checkBlocks(blocks, 50, problems);
  if (problems.length > 0) return { error: "invalid_blocks", messages: problems };
  return sizeOf(blocks) > largestMessage ? { error: "msg_blocks_too_long", messages: [] } : null;
}

/** A view as `views.open` and `views.update` take it. */
export function refusalOfView(view: unknown): BlocksRefused {
  const problems: string[] = [];
  if (!isFields(view)) return { error: "invalid_arguments", messages: ["[ERROR] view must be an object"] };
  if (view["type"] !== "modal") problems.push("must be a modal [json-pointer:/view/type]");
  plain(view["title"], 24, "/view/title", problems);
  for (const name of ["submit", "close"]) if (view[name]) plain(view[name], 24, `/view/${name}`, problems);
  shortText(view["private_metadata"], 3_000, "/view/private_metadata", problems);
  shortText(view["callback_id"], 255, "/view/callback_id", problems);
  checkBlocks(view["blocks"], 100, problems, "/view/blocks");
  const asks = Array.isArray(view["blocks"]) && view["blocks"].some((one) => isFields(one) && one["type"] === "input");
  if (asks && !view["submit"]) problems.push("missing required field: submit [json-pointer:/view]");
  if (problems.length === 0 && Buffer.byteLength(JSON.stringify(view)) > largestView) {
    return { error: "view_too_large", messages: [] };
  }
  return problems.length > 0 ? { error: "invalid_arguments", messages: problems } : null;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkBlocks(blocks: unknown, most: number, problems: string[], at = "/blocks"): void {
  if (!Array.isArray(blocks)) return void problems.push(`must be an array [json-pointer:${at}]`);
  if (blocks.length > most) problems.push(`no more than ${most} items allowed [json-pointer:${at}]`);
  const ids = new Set<unknown>();
  for (const [index, block] of blocks.entries()) {
    const place = `${at}/${index}`;
    if (!isFields(block) || !blockTypes.includes(String(block["type"]))) {
      problems.push(`unsupported type: ${isFields(block) ? block["type"] : typeof block} [json-pointer:${place}/type]`);
      continue;
    }
    shortText(block["block_id"], 255, `${place}/block_id`, problems);
    if (block["block_id"] !== undefined && ids.has(block["block_id"])) {
      problems.push(`block_id already exists [json-pointer:${place}/block_id]`);
    }
    ids.add(block["block_id"]);
    checkBlock(block, place, problems);
  }
}

function checkBlock(block: Fields, at: string, problems: string[]): void {
  const known: Readonly<Record<string, readonly string[]>> = {
    section: ["text", "fields", "accessory", "expand"],
    header: ["text", "level"],
    divider: [],
    context: ["elements"],
    actions: ["elements"],
    input: ["label", "element", "hint", "optional", "dispatch_action"],
    image: ["image_url", "alt_text", "title", "slack_file"],
    rich_text: ["elements"],
    markdown: ["text"],
  };
  const allowed = ["type", "block_id", ...(known[String(block["type"])] ?? [])];
  for (const name of Object.keys(block)) {
    if (!allowed.includes(name)) problems.push(`additional property: ${name} [json-pointer:${at}/${name}]`);
  }
  checks[String(block["type"])]?.(block, at, problems);
}

const checks: Readonly<Record<string, (block: Fields, at: string, problems: string[]) => void>> = {
  section: checkSection,
  header: (block, at, problems) => plain(block["text"], 150, `${at}/text`, problems),
  context: (block, at, problems) => checkElements(block, 10, ["plain_text", "mrkdwn", "image"], at, problems),
  actions: (block, at, problems) => checkElements(block, 25, interactive, at, problems),
  input: checkInput,
  image: (block, at, problems) => required(block["image_url"], 3_000, `${at}/image_url`, problems),
  markdown: (block, at, problems) => required(block["text"], 12_000, `${at}/text`, problems),
};

const interactive = ["button", "static_select", "overflow", "users_select"];

function checkSection(block: Fields, at: string, problems: string[]): void {
  const { text, fields, accessory } = block;
  if (text === undefined && fields === undefined) problems.push(`missing required field: text [json-pointer:${at}]`);
  if (text !== undefined) anyText(text, 3_000, `${at}/text`, problems);
  if (fields !== undefined) {
    if (!Array.isArray(fields) || fields.length === 0)
      return void problems.push(`no items [json-pointer:${at}/fields]`);
    if (fields.length > 10) problems.push(`no more than 10 items allowed [json-pointer:${at}/fields]`);
    for (const [index, field] of fields.entries()) anyText(field, 2_000, `${at}/fields/${index}`, problems);
  }
  if (accessory !== undefined) checkElement(accessory, `${at}/accessory`, problems);
}

function checkInput(block: Fields, at: string, problems: string[]): void {
  plain(block["label"], 2_000, `${at}/label`, problems);
  if (block["hint"] !== undefined) plain(block["hint"], 2_000, `${at}/hint`, problems);
  const { element } = block;
  if (!isFields(element)) return void problems.push(`missing required field: element [json-pointer:${at}]`);
  shortText(element["action_id"], 255, `${at}/element/action_id`, problems);
  if (element["placeholder"] !== undefined) plain(element["placeholder"], 150, `${at}/element/placeholder`, problems);
  if (Number(element["max_length"] ?? 1) > 3_000) problems.push(`too large [json-pointer:${at}/element/max_length]`);
}

function checkElements(block: Fields, most: number, types: readonly string[], at: string, problems: string[]): void {
  const { elements } = block;
  if (!Array.isArray(elements) || elements.length === 0) {
    return void problems.push(`no fewer than 1 items allowed [json-pointer:${at}/elements]`);
  }
  if (elements.length > most) problems.push(`no more than ${most} items allowed [json-pointer:${at}/elements]`);
  const ids = new Set<unknown>();
  for (const [index, element] of elements.entries()) {
    const place = `${at}/elements/${index}`;
    if (!isFields(element) || !types.includes(String(element["type"]))) {
      problems.push(`unsupported type [json-pointer:${place}/type]`);
    } else if (block["type"] === "context") {
      if (element["type"] !== "image") anyText(element, 3_000, place, problems);
    } else {
      if (ids.has(element["action_id"])) problems.push(`action_id already exists [json-pointer:${place}/action_id]`);
      if (element["action_id"] !== undefined) ids.add(element["action_id"]);
      checkElement(element, place, problems);
    }
  }
}

function checkElement(element: unknown, at: string, problems: string[]): void {
  if (!isFields(element)) return void problems.push(`must be an object [json-pointer:${at}]`);
  shortText(element["action_id"], 255, `${at}/action_id`, problems);
  if (element["type"] !== "button") return;
  plain(element["text"], 75, `${at}/text`, problems);
  shortText(element["value"], 2_000, `${at}/value`, problems);
  shortText(element["url"], 3_000, `${at}/url`, problems);
  shortText(element["accessibility_label"], 75, `${at}/accessibility_label`, problems);
  if (![undefined, "primary", "danger"].includes(element["style"] as undefined)) {
    problems.push(`must be one of: primary, danger [json-pointer:${at}/style]`);
  }
  const { confirm } = element;
  if (confirm === undefined) return;
  if (!isFields(confirm)) return void problems.push(`must be an object [json-pointer:${at}/confirm]`);
  plain(confirm["title"], 100, `${at}/confirm/title`, problems);
  anyText(confirm["text"], 300, `${at}/confirm/text`, problems);
  plain(confirm["confirm"], 30, `${at}/confirm/confirm`, problems);
  plain(confirm["deny"], 30, `${at}/confirm/deny`, problems);
}

function plain(value: unknown, most: number, at: string, problems: string[]): void {
  if (isFields(value) && value["type"] === "mrkdwn") problems.push(`must be plain_text [json-pointer:${at}/type]`);
  anyText(value, most, at, problems);
}

function anyText(value: unknown, most: number, at: string, problems: string[]): void {
  if (!isFields(value)) return void problems.push(`must be a text object [json-pointer:${at}]`);
  const isPlain = value["type"] === "plain_text";
  if (!isPlain && value["type"] !== "mrkdwn") problems.push(`unsupported type [json-pointer:${at}/type]`);
  if (isPlain ? value["verbatim"] !== undefined : value["emoji"] !== undefined) {
    problems.push(`not allowed for ${value["type"]} [json-pointer:${at}]`);
  }
  required(value["text"], most, `${at}/text`, problems);
}

function required(value: unknown, most: number, at: string, problems: string[]): void {
  if (typeof value !== "string" || value === "") problems.push(`must be more than 0 characters [json-pointer:${at}]`);
  shortText(value, most, at, problems);
}

function shortText(value: unknown, most: number, at: string, problems: string[]): void {
  if (value === undefined) return;
  if (typeof value !== "string") problems.push(`must be a string [json-pointer:${at}]`);
  else if (value.length > most) problems.push(`must be less than ${most + 1} characters [json-pointer:${at}]`);
}

/** The characters of all texts, with what Slack adds for each block and element. */
function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, one) => sum + costOfBlock + sizeOf(one), 0);
  if (!isFields(value)) return 0;
  const inner = Object.entries(value).map(([name, part]) => {
    if (typeof part !== "string") return sizeOf(part);
    return ["text", "value", "url"].includes(name) ? part.length : 0;
  });
  return inner.reduce((sum, size) => sum + size, 0);
}
