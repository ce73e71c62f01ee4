/** What others wrote stays text wherever it is shown. */

import { code, link, moment, notification, person, plain } from "../../../src/oncall/slack/escape.ts";

test("a notification holds no mention, link, markup or emoji of others", () => {
  const evil =
    "<!channel> <@U1> <http://evil|Approve> @here #ops *b* _i_ ~s~ `c` :tada: http://evil & \u202eevil\nnext";
  const line = notification(evil, 1_000);
  expect(line).not.toMatch(/[<>\n\u202e]|&(?!amp;|lt;|gt;)/);
  expect(line).not.toMatch(/@here|#ops|:tada:|:\/\/|[*~`]|(?<!\p{L})_|_(?!\p{L})/u);
  // It can still be read.
  expect(line).toContain("&lt;!channel&gt;");
  expect(notification("database_overload at 10:40", 100)).toBe("database_overload at 10:40");
});

test("plain text is never empty, which Slack refuses, nor longer than it may be", () => {
  expect(plain(" \u200b\n", 10)).toEqual({ type: "plain_text", text: "–", emoji: false });
  expect(plain("x".repeat(50), 10)).toEqual({ type: "plain_text", text: `${"x".repeat(9)}…`, emoji: false });
});

test("only the id of a Slack user becomes a mention", () => {
  expect(person("slack:U024BE7LH")).toBe("<@U024BE7LH>");
  expect(person("api:ops")).toBe("`api:ops`");
  expect(person("slack:U1> <!channel")).toBe("`slack:U1&gt; &lt;!channel`");
  expect(person("slack:!channel")).toBe("`slack:!channel`");
});

test("code cannot be left, and a link is to where it says or none", () => {
  expect(code("a` <!here> `b")).toBe("`a' &lt;!here&gt; 'b`");
  expect(link("https://p.example/runs/1?a=1&b=2", "Read")).toBe("<https://p.example/runs/1?a=1&amp;b=2|Read>");
  expect(link("https://p.example/|x> <!channel", "Read")).toBe("`https://p.example/|x&gt; &lt;!channel`");
  expect(link("javascript:alert(1)", "Read")).toBe("`javascript:alert(1)`");
});

test("a time is shown in the reader's own zone, with UTC for those who cannot", () => {
  expect(moment("2026-01-05T10:30:00.000Z")).toBe(
    "<!date^1767609000^{date_short_pretty} at {time}|2026-01-05 10:30 UTC>",
  );
  expect(moment("2026-01-05T10:30:07.900Z", "seconds")).toBe("<!date^1767609007^{time_secs}|10:30:07 UTC>");
  expect(moment("<!channel>")).toBe("`&lt;!channel&gt;`");
});
