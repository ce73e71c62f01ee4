/**
 * Reads the text of Alertmanager's matchers. Alertmanager has two grammars, the classic one and the UTF-8 one of 0.27,
 * and by default takes the classic reading wherever there is one; so does this file.
 * Source: pkg/labels/parse.go, matchers/parse and matchers/compat of Alertmanager.
 */

export type MatcherOperator = "=" | "!=" | "=~" | "!~";

/** One matcher as written, before its regular expression is compiled. */
export interface MatcherText {
  readonly name: string;
  readonly operator: MatcherOperator;
  readonly value: string;
}

export type MatcherTexts =
  | { readonly ok: true; readonly matchers: readonly MatcherText[] }
  | { readonly ok: false; readonly message: string };

/** Reads one or several comma-separated matchers, in braces or not. */
export function readMatchers(text: string): MatcherTexts {
  const classic = readClassic(text);
  if (classic.ok) return classic;
  const utf8 = readUtf8(text);
  return utf8.ok ? utf8 : { ok: false, message: utf8.message };
}

function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}

// The classic grammar: a label name, an operator, and all that follows as the value, quoted or not.

const asciiSpace = " \t\n\f\r";

function readClassic(text: string): MatcherTexts {
  const matchers: MatcherText[] = [];
  for (const part of splitAtCommas(text)) {
    const matcher = readClassicMatcher(part);
    if (typeof matcher === "string") return refused(matcher);
    matchers.push(matcher);
  }
  return { ok: true, matchers };
}

function splitAtCommas(text: string): readonly string[] {
  const from = text.startsWith("{") ? 1 : 0;
  const to = text.length > from && text.endsWith("}") ? text.length - 1 : text.length;
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  let escaped = false;
  for (const char of text.slice(from, to)) {
    if (char === "," && !quoted) {
      parts.push(part);
      part = "";
      continue;
    }
    if (char === '"' && !escaped) quoted = !quoted;
    // As in Alertmanager, a comma leaves a pending backslash pending.
    if (char !== ",") escaped = char === "\\" && !escaped;
    part += char;
  }
  if (part.trim() !== "") parts.push(part.trim());
  return parts;
}

function readClassicMatcher(text: string): MatcherText | string {
  const trimmed = trimAscii(text);
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(trimmed)?.[0];
  if (name === undefined) return "no label name";
  const rest = trimAscii(trimmed.slice(name.length));
  const operator = (["=~", "=", "!=", "!~"] as const).find((candidate) => rest.startsWith(candidate));
  if (operator === undefined) return "no operator";
  const value = unescapeClassic(trimAscii(rest.slice(operator.length)));
  return value === null ? "a double quote in the value that is not escaped" : { name, operator, value };
}

function trimAscii(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && asciiSpace.includes(text.charAt(from))) from++;
  while (to > from && asciiSpace.includes(text.charAt(to - 1))) to--;
  return text.slice(from, to);
}

function unescapeClassic(raw: string): string | null {
  const quoted = raw.startsWith('"');
  const text = quoted ? raw.slice(1) : raw;
  let value = "";
  let closed = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    const last = at === text.length - 1;
    if (char === '"') {
      if (!quoted || !last) return null;
      closed = true;
    } else if (char === "\\" && !last) {
      at++;
      const escaped = text.charAt(at);
      // A backslash before anything else stands for itself, so that =~"\d+" needs no second one.
      value += escaped === "n" ? "\n" : escaped === '"' || escaped === "\\" ? escaped : `\\${escaped}`;
    } else {
      value += char;
    }
  }
  return quoted && !closed ? null : value;
}

// The UTF-8 grammar: names and values of any characters, quoted as Go quotes strings where they hold reserved ones.

type Token = { readonly kind: "{" | "}" | "," | "operator" | "quoted" | "bare" | "end"; readonly text: string };

const reserved = /[\s\u0085{}!=~,"'`]/u;

function tokensOf(text: string): readonly Token[] | string {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = String.fromCodePoint(text.codePointAt(at) as number);
    if (char === "{" || char === "}" || char === ",") {
      tokens.push({ kind: char, text: char });
      at += 1;
    } else if (char === "=" || char === "!") {
      const pair = text.slice(at, at + 2);
      const operator = pair === "=~" || pair === "!=" || pair === "!~" ? pair : char;
      if (operator === "!") return "'!' must be followed by '=' or '~'";
      tokens.push({ kind: "operator", text: operator });
      at += operator.length;
    } else if (char === '"') {
      const end = closingQuote(text, at);
      if (end < 0) return `${text.slice(at)}: the closing double quote is missing`;
      tokens.push({ kind: "quoted", text: text.slice(at, end + 1) });
      at = end + 1;
    } else if (/[\s\u0085]/u.test(char)) {
      at += 1;
    } else if (reserved.test(char)) {
      return `unexpected ${char}; put names and values with such characters in double quotes`;
    } else {
      let end = at + char.length;
      while (end < text.length && !reserved.test(text.charAt(end))) end++;
      tokens.push({ kind: "bare", text: text.slice(at, end) });
      at = end;
    }
  }
  tokens.push({ kind: "end", text: "end of the text" });
  return tokens;
}

function closingQuote(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    if (text.charAt(at) === "\\") at++;
    else if (text.charAt(at) === '"') return at;
  }
  return -1;
}

function readUtf8(text: string): MatcherTexts {
  const tokens = tokensOf(text);
  if (typeof tokens === "string") return refused(tokens);
  let next = 0;
  const peek = (): Token => tokens[next] as Token;
  const take = (): Token => tokens[next++] as Token;
  const matchers: MatcherText[] = [];
  const braced = peek().kind === "{";
  if (braced) take();
  while (peek().kind !== "end" && peek().kind !== "}") {
    const name = stringOf(take());
    if (name === null) return refused('expected a label name, such as severity or "my label"');
    const operator = take();
    if (operator.kind !== "operator") {
      return refused(`expected =, !=, =~ or !~ after the label name, found ${operator.text}`);
    }
    const value = stringOf(take());
    if (value === null) return refused("expected a value after the operator; put it in double quotes");
    matchers.push({ name, operator: operator.text as MatcherOperator, value });
    if (peek().kind === ",") take();
    else if (peek().kind !== "end" && peek().kind !== "}") {
      return refused(`expected a comma or the end after a matcher, found ${peek().text}`);
    }
  }
  if (braced && take().kind !== "}") return refused("the closing brace is missing");
  return peek().kind === "end" ? { ok: true, matchers } : refused(`unexpected ${peek().text}`);
}

function stringOf(token: Token): string | null {
  if (token.kind === "bare") return token.text;
  return token.kind === "quoted" ? unquote(token.text) : null;
}

const simpleEscapes: ReadonlyMap<string, number> = new Map([
  ["a", 7],
  ["b", 8],
  ["t", 9],
  ["n", 10],
  ["v", 11],
  ["f", 12],
  ["r", 13],
  ["\\", 92],
  ['"', 34],
]);

/** What Go's strconv.Unquote makes of a text in double quotes; null where it makes nothing, or no valid UTF-8. */
function unquote(quoted: string): string | null {
  const text = quoted.slice(1, -1);
  const bytes: Buffer[] = [];
  for (let at = 0; at < text.length; ) {
    const char = String.fromCodePoint(text.codePointAt(at) as number);
    if (char === "\n") return null;
    if (char !== "\\") {
      bytes.push(Buffer.from(char));
      at += char.length;
      continue;
    }
    const sequence = /^\\(?:([abtnvfr\\"])|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(
      text.slice(at, at + 10),
    );
    if (!sequence) return null;
    const [all, simple, hex, octal, short, long] = sequence;
    const code = short ?? long;
    if (code !== undefined) {
      const point = Number.parseInt(code, 16);
      if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return null;
      bytes.push(Buffer.from(String.fromCodePoint(point)));
    } else {
      const byte =
        simple !== undefined
          ? (simpleEscapes.get(simple) as number)
          : Number.parseInt((hex ?? octal) as string, hex === undefined ? 8 : 16);
      bytes.push(Buffer.from([byte]));
    }
    at += all.length;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return null;
  }
}
