import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { stringify } from "yaml";
import type { Labels } from "../../src/domain/alert.ts";
import { matchesAll, parseMatchers, selectsEverything } from "../../src/playbooks/matcher.ts";
import { realService } from "../support/real-service.ts";

function labelsOf(entries: Readonly<Record<string, string>> | readonly (readonly [string, string])[]): Labels {
  const labels: Record<string, string> = Object.create(null);
  for (const [name, value] of Array.isArray(entries) ? entries : Object.entries(entries)) {
    Object.defineProperty(labels, name, { value, enumerable: true });
  }
  return labels;
}

function parsed(text: string) {
  const result = parseMatchers(text);
  if (!result.ok) throw new Error(result.message);
  return result.matchers;
}

function selects(text: string, labels: Readonly<Record<string, string>>): boolean {
  return matchesAll(parsed(text), labelsOf(labels));
}

describe("reading a matcher", () => {
  test.each([
    ['foo="bar"', "foo", "=", "bar"],
    ["foo=bar", "foo", "=", "bar"],
    ["  foo  !=  bar baz  ", "foo", "!=", "bar baz"],
    ['foo=~"a|b"', "foo", "=~", "a|b"],
    ['foo!~"[0-9]+"', "foo", "!~", "[0-9]+"],
    ["foo=", "foo", "=", ""],
    ['foo=""', "foo", "=", ""],
    ['foo="say \\"hi\\""', "foo", "=", 'say "hi"'],
    ['foo="a\\\\b\\nc"', "foo", "=", "a\\b\nc"],
    ['foo=~"\\d+\\.x"', "foo", "=~", "\\d+\\.x"],
    ['foo="a,b}c"', "foo", "=", "a,b}c"],
    ["a:b_c=d=e", "a:b_c", "=", "d=e"],
    ['"my label"="x"', "my label", "=", "x"],
    ['"fo\\u00f6"="\\x41\\101\\t"', "foö", "=", "AA\t"],
    ["größe=groß", "größe", "=", "groß"],
    ["__proto__=x", "__proto__", "=", "x"],
  ])("%s", (text, name, operator, value) => {
    expect(parsed(text)).toMatchObject([{ name, operator, value }]);
  });

  test("several may stand in braces or without, with a comma at the end", () => {
    const expected = [
      { name: "foo", value: "a,b" },
      { name: "bar", value: "c" },
    ];
    expect(parsed('{foo="a,b", bar!=c,}')).toMatchObject(expected);
    expect(parsed('foo="a,b",bar=c')).toMatchObject(expected);
    expect(parsed('{"foo"="a,b","bar"="c"}')).toMatchObject(expected);
  });

  test.each([
    ["", "an empty matcher"],
    ["{}", "an empty matcher"],
    ["*", "expected =, !=, =~ or !~"],
    ["foo", "expected =, !=, =~ or !~"],
    ["=bar", "expected a label name"],
    ['""="x"', "the label name is empty"],
    ['foo="bar', "the closing double quote is missing"],
    ['foo="a"b"', "the closing double quote is missing"],
    ['"foo"="bar"x', "expected a comma"],
    ['"foo"="\\q"', "expected a value"],
    ['"foo"="\\xff"', "expected a value"],
    ['{"foo"="bar"', "the closing brace is missing"],
    ["foo ! bar", "'!' must be followed by"],
    ['foo=~"("', "missing closing )"],
    ['foo=~"a)|(b"', "unexpected )"],
    ['foo=~"(?=a)b"', "not a regular expression in RE2 syntax"],
    ['foo=~"(a)\\1"', "not a regular expression in RE2 syntax"],
    ["foo='x'\"", "unexpected '"],
    [`foo="${"x".repeat(2_000)}"`, "longer than 2000 characters"],
  ])("%s is refused with a reason", (text, reason) => {
    const result = parseMatchers(text);
    expect(result).toEqual({ ok: false, message: expect.stringContaining(reason) });
  });
});

describe("matching", () => {
  test.each([
    ['a="x"', { a: "x" }, true],
    ['a="x"', { a: "X" }, false],
    ['a=""', {}, true],
    ['a=""', { a: "" }, true],
    ['a=""', { a: "x" }, false],
    ['a!="x"', {}, true],
    ['a!=""', {}, false],
    ['a=~"x|xy"', { a: "xy" }, true],
    ['a=~"x"', { a: "xy" }, false],
    ['a=~"y"', { a: "xy" }, false],
    ['a=~"x|"', {}, true],
    ['a=~".+"', {}, false],
    ['a!~"x.*"', {}, true],
    ['a!~"x.*"', { a: "xy" }, false],
    ['a=~"x."', { a: "x\n" }, false],
    ['a=~"x"', { a: "x\n" }, false],
    ['a=~"(?i)error"', { a: "ERROR" }, true],
    ['a=~"x$|^y"', { a: "y" }, true],
    ['a=~"."', { a: "\u{1f600}" }, true],
    ['toString=""', {}, true],
    ['constructor=~".+"', {}, false],
    ['__proto__=~".+"', {}, false],
  ])("%s on %j is %s", (text, labels, expected) => {
    expect(selects(text, labels)).toBe(expected);
  });

  test("a label may be named __proto__", () => {
    const labels = labelsOf([["__proto__", "x"]]);
    expect(matchesAll(parsed('__proto__="x"'), labels)).toBe(true);
    expect(matchesAll(parsed('__proto__!="x"'), labels)).toBe(false);
    expect(Object.hasOwn(Object.prototype, "x")).toBe(false);
  });

  test("what every JavaScript object has is no label", () => {
    expect(matchesAll(parsed('toString=""'), {})).toBe(true);
    expect(matchesAll(parsed('constructor!=""'), {})).toBe(false);
  });

  test("no matchers select nothing", () => {
    expect(matchesAll([], labelsOf({ a: "x" }))).toBe(false);
  });

  test.each([
    ['a=~".*"', true],
    ['a!="x"', true],
    ['a=""', true],
    ['a=~".+"', false],
    ['a="x"', false],
    ['a!="x",b="y"', false],
  ])("%s selects even an alert without labels: %s", (text, expected) => {
    expect(selectsEverything(parsed(text))).toBe(expected);
  });

  test("any quoted value is read back and matches exactly itself", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (value, other) => {
        const quoted = `a="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
        expect(selects(quoted, { a: value })).toBe(true);
        expect(selects(quoted, { a: other })).toBe(value === other);
      }),
    );
  });

  test("whatever is written is read or refused, never thrown", () => {
    const piece = fc.constantFrom('"', "\\", "{", "}", ",", "=", "!", "~", "a", " ", "(", "|", "\n", "ö", "x41");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const result = parseMatchers(pieces.join(""));
        if (result.ok) expect(result.matchers.length).toBeGreaterThan(0);
        else expect(result.message).not.toBe("");
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("patterns that make other engines explode", () => {
  const corpus = [
    "(a+)+$",
    "(a|aa)+$",
    "(.*a){20}",
    "([a-zA-Z]+)*$",
    "(a|a?)+$",
    "(x+x+)+y",
    "(.*)*(.*)*(.*)*=",
    "(a{1,20}){1,20}",
  ];

  test.each(corpus)("%s takes time in proportion to the text", (pattern) => {
    const [matcher] = parsed(`a=~"${pattern}"`);
    const time = (length: number) => {
      const labels = labelsOf({ a: `${"a".repeat(length)}!` });
      let best = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 5; round++) {
        const start = performance.now();
        matchesAll(matcher ? [matcher] : [], labels);
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    time(20_000);
    // A backtracking engine would not come back from the smaller one.
    expect(time(200_000) / Math.max(time(20_000), 0.05)).toBeLessThan(60);
  });

  test.each(["(.?){500}a{500}", "((a{1,30}){1,30}){1,30}", "a{1001}", "x".repeat(1_001)])(
    "%s is refused as too large",
    (pattern) => {
      expect(parseMatchers(`a=~"${pattern}"`)).toEqual({
        ok: false,
        message: expect.stringMatching(/too large|repeat count|longer than/),
      });
    },
  );
});

const amtool = realService("Alertmanager (Debian: prometheus-alertmanager)", "amtool");

amtool.describe("Alertmanager's own reading", () => {
  const texts = [
    'a="x"',
    "a=x",
    "a = x ",
    'a!="x"',
    'a=~"x|y"',
    'a=~"x"',
    'a!~"x.*"',
    'a=""',
    "a=",
    'a=~""',
    'a=~".*"',
    'a=~".+"',
    'a=~"x.+"',
    'a="say \\"hi\\""',
    'a="p\\\\q"',
    'a="n\\nm"',
    'a=~"\\d+"',
    'a="c,d"',
    "a=c d",
    '{a="x",b="y"}',
    'a="x",b!="y"',
    '{a="x",}',
    'a=~"(?i)X"',
    'a=~"x?"',
    'a!=x,b=""',
    'a=~"[xy]\\.z"',
    'a="\\t"',
    "a=~x|y",
    'b=~"^y$"',
    'a="}"',
    'a=~"."',
    "a:c=x",
  ];
  const labelSets: readonly Readonly<Record<string, string>>[] = [
    {},
    { a: "x" },
    { a: "y" },
    { a: "xy" },
    { a: "X" },
    { b: "y" },
    { a: "x", b: "y" },
    { a: 'say "hi"' },
    { a: "p\\q" },
    { a: "12" },
    { a: "c,d" },
    { a: "c d" },
    { a: "y.z" },
    { a: "\\t" },
    { a: "}" },
    { a: "ö" },
    { b: "xyz" },
  ];

  test("selects the same alerts", () => {
    const folder = mkdtempSync(join(tmpdir(), "paramedic-matchers-"));
    try {
      const file = join(folder, "alertmanager.yml");
      writeFileSync(file, routingBy(texts));
      for (const labels of labelSets) {
        const given = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
        const args = ["config", "routes", "test", `--config.file=${file}`, ...(given.length > 0 ? given : ["none=x"])];
        const answer = execFileSync("amtool", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
        const theirs = answer
          .trim()
          .split(",")
          .filter((receiver) => receiver !== "none");
        const ours = texts.flatMap((text, at) => (selects(text, labels) ? [`r${at}`] : []));
        expect({ labels, selected: ours }).toEqual({ labels, selected: theirs });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 60_000);

  test("refuses the same texts, of those the classic grammar knows", () => {
    const folder = mkdtempSync(join(tmpdir(), "paramedic-matchers-"));
    const unreadable = [
      'a="x',
      'a=x"',
      'a="x"y"',
      "a",
      "=x",
      "1a=x",
      'a=~"("',
      'a=~"*"',
      'a="x",,b="y"',
      "a!x",
      "a b=c",
    ];
    try {
      for (const text of unreadable) {
        const file = join(folder, "alertmanager.yml");
        writeFileSync(file, routingBy([text]));
        const theirs = runs("amtool", ["check-config", file]);
        expect({ text, read: theirs }).toEqual({ text, read: false });
        // The UTF-8 grammar reads more names; what is compared here is refused by both.
        if (text !== "1a=x") expect({ text, read: parseMatchers(text).ok }).toEqual({ text, read: false });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 60_000);
});

function runs(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** A configuration in which receiver r0 is told by the first matcher, r1 by the second, and so on. */
function routingBy(texts: readonly string[]): string {
  const routes = texts.map((text, at) => ({ receiver: `r${at}`, continue: true, matchers: [text] }));
  const receivers = [{ name: "none" }, ...texts.map((_, at) => ({ name: `r${at}` }))];
  return stringify({ route: { receiver: "none", routes }, receivers });
}
