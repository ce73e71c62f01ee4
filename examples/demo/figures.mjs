/** What an action has seen or done, whatever its shape, as one line of figures: what says most comes first, what is too long is cut. */

const longest = 100;
/** The field by which an entry of a list is known, the first of these that it has. */
const names = ["query", "sql", "path", "message", "table", "title", "pattern"];

/** One line; what an application answered, or a report returned, is taken out of its wrapping. */
export function figures(value) {
  const inner = [value?.body, value?.result].find((one) => typeof one === "object" && one !== null) ?? value;
  const text = Array.isArray(inner) ? listed("entries", inner) : fields(inner);
  return text.length > longest ? `${text.slice(0, longest).replace(/,[^,]*$/, "")}, …` : text;
}

function fields(value) {
  if (typeof value !== "object" || value === null) return leaf("", value);
  const told = Object.entries(value).filter(([, one]) => one !== "" && one !== null);
  // What is nought says least.
  const weight = ([, one]) => (one === 0 ? 2 : typeof one === "object" ? 1 : 0);
  const lines = told.toSorted((one, other) => weight(one) - weight(other)).map(([key, one]) => field(key, one));
  return lines.filter(Boolean).join(", ") || "nothing more to tell";
}

function field(key, value) {
  if (Array.isArray(value)) return value.length > 0 ? listed(words(key), value) : "";
  if (typeof value !== "object") return `${words(key)} ${leaf(key, value)}`;
  const inner = Object.entries(value).filter(([, one]) => typeof one !== "object");
  return inner.length > 0
    ? `${words(key)} ${inner.map(([name, one]) => `${name} ${leaf(name, one)}`).join(" and ")}`
    : "";
}

function listed(what, entries) {
  const [first] = entries;
  const name = typeof first === "object" ? (names.map((one) => first?.[one]).find(Boolean) ?? fields(first)) : first;
  return `${entries.length} ${what}${name === undefined ? "" : ` (${String(name).slice(0, 60)}${entries.length > 1 ? ", …" : ""})`}`;
}

function leaf(key, value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (/bytes$/i.test(key)) return value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${(value / 1e6).toFixed(1)} MB`;
  return String(Math.round(value * 100) / 100);
}

/** `cacheHitRate` and `cache_hit_rate` as a person writes them. */
function words(key) {
  return key.replaceAll("_", " ").replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
