/** SQL that somebody else wrote, made fit to be shown: one line, short, without comments and without any literal. */

const longest = 120;
const word = /[\p{L}_][\p{L}\p{N}_$]*/uy;
const number = /\d[\p{L}\p{N}_.]*/uy;
const quoted = /"(?:[^"]|"")*"/y;
const dollarTag = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy;
// Controls, invisible and direction-changing characters, lone surrogates, line and paragraph separators.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/**
 * The text of a query in at most 120 characters. Literals become `?`, comments go: both may hold secrets or personal
 * data. What cannot be told apart for sure (an unfinished literal, a backslash whose meaning depends on the server's
 * settings) ends the text there.
 */
export function showQuery(sql: string): string {
  return shorten(withoutLiterals(sql), longest);
}

/** A name or other foreign text on one line, without control characters, in at most `limit` characters. */
export function shorten(text: string, limit: number): string {
  const line = text.replace(unprintable, " ").replace(/\s+/g, " ").trim();
  const characters = [...line];
  return characters.length <= limit ? line : `${characters.slice(0, limit - 1).join("")}…`;
}

function withoutLiterals(sql: string): string {
  let shown = "";
  let at = 0;
  while (at < sql.length) {
    const next = literal(sql, at) ?? quotedName(sql, at) ?? comment(sql, at);
    if (next) {
      shown += next.shown;
      if (next.end === null) break;
      at = next.end;
      continue;
    }
    const name = match(word, sql, at);
    shown += name ?? sql[at];
    at += name?.length ?? 1;
  }
  return shown;
}

/** A piece that is shown as something else; `end` is null where the rest of the text must not be shown. */
interface Piece {
  readonly shown: string;
  readonly end: number | null;
}

function literal(sql: string, at: number): Piece | null {
  if (sql[at] === "'") return { shown: "?", end: quoteEnd(sql, at + 1, false) };
  if (/^[eE]'/.test(sql.slice(at, at + 2))) return { shown: "?", end: quoteEnd(sql, at + 2, true) };
  const tag = match(dollarTag, sql, at);
  if (tag) {
    const end = sql.indexOf(tag, at + tag.length);
    return { shown: "?", end: end < 0 ? null : end + tag.length };
  }
  if (sql[at] === "$" && /\d/.test(sql[at + 1] ?? "")) return { shown: sql.slice(at, at + 2), end: at + 2 };
  const digits = match(number, sql, at);
  return digits ? { shown: "?", end: at + digits.length } : null;
}

/** Where a quoted literal ends; null where it does not, or where a backslash leaves that in doubt. */
function quoteEnd(sql: string, from: number, escapes: boolean): number | null {
  for (let at = from; at < sql.length; at++) {
    if (sql[at] === "\\") {
      if (!escapes) return null;
      at++;
    } else if (sql[at] === "'") {
      if (sql[at + 1] !== "'") return at + 1;
      at++;
    }
  }
  return null;
}

/** A quoted name is shown, but as one piece: what looks like a literal inside it is none. */
function quotedName(sql: string, at: number): Piece | null {
  const name = match(quoted, sql, at);
  if (name !== null) return { shown: name, end: at + name.length };
  return sql[at] === '"' ? { shown: '"', end: null } : null;
}

function comment(sql: string, at: number): Piece | null {
  if (sql.startsWith("--", at)) {
    const length = /[\n\r]/.exec(sql.slice(at))?.index;
    return { shown: " ", end: length === undefined ? null : at + length };
  }
  if (!sql.startsWith("/*", at)) return null;
  let depth = 0;
  for (let end = at; end < sql.length; end++) {
    if (sql.startsWith("/*", end)) {
      depth++;
      end++;
    } else if (sql.startsWith("*/", end)) {
      depth--;
      end++;
      if (depth === 0) return { shown: " ", end: end + 1 };
    }
  }
  return { shown: " ", end: null };
}

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}
