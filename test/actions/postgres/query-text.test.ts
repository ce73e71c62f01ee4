import { shorten, showQuery } from "../../../src/actions/postgres/query-text.ts";

test.each([
  ["SELECT * FROM t1 WHERE name = 'Jane' AND card = 4111", "SELECT * FROM t1 WHERE name = ? AND card = ?"],
  ["SELECT 'it''s', 2.5e3, $1, $2", "SELECT ?, ?, $1, $2"],
  ["SELECT E'a\\'b', e'\\\\', x", "SELECT ?, ?, x"],
  ["SELECT $$secret$$, $tag$ secret $$ $tag$, b", "SELECT ?, ?, b"],
  ["SELECT 1 /* a /* secret */ 'b' */ + 2 -- secret 'c\n FROM t", "SELECT ? + ? FROM t"],
  ["SELECT B'01', U&'d', N'x'", "SELECT B?, U&?, N?"],
  ['SELECT "Column 1" FROM "T"', 'SELECT "Column 1" FROM "T"'],
  ["SELECT a\n\t,\u0000b\u202e\u2028c\u001b[31m", "SELECT a , b c [?"],
  [`SELECT "it's", 'secret', "--a""/*" FROM t`, `SELECT "it's", ?, "--a""/*" FROM t`],
  ["SELECT typee'secret'", "SELECT typee?"],
])("%j is shown as %j", (sql, shown) => {
  expect(showQuery(sql)).toBe(shown);
});

test.each([
  "SELECT 'secret",
  "SELECT 'a\\' AS b, 'secret' AS c",
  "SELECT E'secret\\",
  "SELECT $a$secret",
  "SELECT 1 /* secret",
  "SELECT 1 -- secret",
  `SELECT "it's, 'secret'`,
])("what cannot be told apart for sure is not shown: %j", (sql) => {
  expect(showQuery(sql)).not.toContain("secret");
});

test("a long query is cut at 120 characters", () => {
  const shown = showQuery(`SELECT ${"a".repeat(1_000)}`);
  expect(shown).toHaveLength(120);
  expect(shown.endsWith("…")).toBe(true);
});

test("a character beyond the basic plane is never cut in half", () => {
  expect(shorten("😀😀😀", 2)).toBe("😀…");
});
