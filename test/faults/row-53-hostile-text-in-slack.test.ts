/** Row 53: mentions, links, markup, direction overrides and very long text in labels, effects and reasons are shown literally and cut. */

import fc from "fast-check";
import type { Happening } from "../../src/domain/event.ts";
import type { Followed } from "../../src/domain/followed.ts";
import { followAnnouncement } from "../../src/oncall/slack/announcement.ts";
import { followLevel } from "../../src/oncall/slack/level.ts";
import { followRecord } from "../../src/oncall/slack/record.ts";
import type { Message, Subject } from "../../src/oncall/way.ts";
import {
  alert,
  asking,
  buttonsOf,
  callsOf,
  ever,
  markupOf,
  message,
  run,
  storyOf,
  subject,
  textsOf,
} from "../oncall/slack/told.ts";
import { happened, timeAt } from "../support/builders.ts";
import { type SlackDouble, startSlackDouble } from "../support/slack-double.ts";

let slack: SlackDouble;

beforeEach(async () => {
  slack = await startSlackDouble();
});

afterEach(() => slack.stop());

const evil = [
  "<!channel> <!here> <!everyone> <@U024BE7LH> <#C0OPS> <!subteam^S0614TZR7>",
  "<http://evil.example|Approve> <https://evil.example> http://evil.example www.evil.example",
  "*bold* _italic_ ~gone~ `code` ```block``` > quote :tada: @here #ops &lt;!channel&gt;",
  "\u202ekcolb\u202c \u2066x\u2069 \u200b\u0000\r\nnext\u2028line <!date^0^{date}|x>",
].join(" ");

/** What Paramedic itself marks up: dates, people, the run's own address. Everything else in `<…>` would be somebody else's. */
const ours =
  /<!date\^\d+\^(\{date_short_pretty\} at \{time\}|\{time_secs\})\|[0-9: -]+ UTC>|<@U0APPROVER>|<https:\/\/paramedic\.example\.net\/api\/v1\/runs\/[0-9a-f-]+\|Read the run>/g;

/** A run in which everything that others write is `text`: each label, annotation, effect, reason and name. */
function historyOf(text: string, effects: readonly string[], ...more: readonly Happening[]) {
  const trigger = {
    ...alert,
    labels: { alertname: text, severity: text, instance: text },
    annotations: { summary: text },
  };
  const announcing: Happening = { type: "announcing", step: text, effects, places: ["slack"], notBefore: timeAt(900) };
  const asked = asking({ effects, step: text, digest: "d1" });
  return storyOf({ playbook: text, target: text, trigger }, 2, ...asked, announcing, ...more);
}

function ending(text: string, effects: readonly string[]): readonly Happening[] {
  return [
    happened.approved({ by: "slack:U0APPROVER", step: text }),
    { type: "answer-refused", step: text, approval: "a1", by: text, reason: text },
    { ...happened.declined({ by: text, reason: text, step: text }) },
    happened.planned("d1", effects, text),
    happened.started("d1", text),
    happened.failed("apply", { reason: text, step: text }),
    { type: "cancel-requested", by: text, reason: text },
    { type: "verification-checked", check: 0, passed: false, output: { [text]: text }, reason: text },
    { type: "escalated", policy: text, reason: text },
    { type: "ended", outcome: "failed", reason: text },
    { type: "not-told", way: text, level: 1, reason: text },
    { type: "acknowledge-refused", by: text, reason: text },
    { type: "acknowledged", by: text },
  ];
}

/** Tells everything that Slack is told of a run, at its question and after its end; returns what went wrong. */
async function tellAll(text: string, effects: readonly string[]): Promise<readonly Followed[]> {
  const call = callsOf(slack);
  const ways = [
    [message(), followRecord({ call, channel: "#ops" })],
    [message({ topic: "handed-over", policy: text }), followLevel({ call, channelOf: () => "#ops" })],
    [message({ topic: "approval-unasked", policy: text }), followLevel({ call, channelOf: () => "#ops" })],
    [message({ topic: "notify", policy: text }), followLevel({ call, channelOf: () => "#ops" })],
    [message({ topic: "announcement" }), followAnnouncement({ call, channel: "#ops" })],
  ] as const;
  const unasked: Happening = { type: "escalated", policy: text, topic: "approval-unasked", reason: text };
  const moments: readonly Subject[] = [
    subject(historyOf(text, effects, unasked)),
    subject(historyOf(text, effects, unasked, ...ending(text, effects))),
  ];
  const failures: Followed[] = [];
  for (const [first, follow] of ways) {
    let told: Message = first;
    for (const moment of moments) {
      const followed = await follow(told, moment, ever);
      if (!followed.ok) failures.push(followed);
      told = { ...told, place: followed.place, shownSeq: followed.shownSeq };
    }
  }
  return failures;
}

/** All that was ever sent to the channel, as it was sent. */
function sent(): readonly { readonly text: string; readonly blocks: unknown }[] {
  return slack.calls().map(({ args }) => ({ text: String(args["text"]), blocks: args["blocks"] }));
}

test("no mention, link, markup or emoji of others is live in anything that Slack is told", async () => {
  expect(await tellAll(evil, [evil, evil])).toEqual([]);
  expect(sent().length).toBeGreaterThan(10);
  for (const { text, blocks } of sent()) {
    for (const live of [...markupOf(blocks), text]) {
      const rest = live.replace(ours, "");
      expect(rest).not.toMatch(/[<>]/);
      // Of others there is nothing in markup but names as code, in which nothing is read but `<…>` and `&…;`.
      const outside = rest.replace(/```[\s\S]*?```|`[^`]*`/g, "");
      expect(outside).not.toMatch(/bold\*|italic_|gone~|:tada:|@here|#ops|:\/\/evil/);
    }
    for (const shown of textsOf(blocks)) expect(shown).not.toMatch(/[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u);
    const plain = plainOf(blocks);
    expect(plain.every(({ emoji }) => emoji === false)).toBe(true);
    expect(new Set(markupOf(blocks).length === 0 ? [true] : verbatimOf(blocks))).toEqual(new Set([true]));
  }
  // It is there, as it was written.
  const [question] = sent();
  expect(textsOf(question?.blocks).join("\n")).toContain("<http://evil.example|Approve>");
  expect(question?.text).toContain("&lt;!channel&gt;");
});

test("the question as it stands in Slack", async () => {
  const call = callsOf(slack);
  const summary = `<!channel> ${"x".repeat(10_000)}`;
  const trigger = { ...alert, annotations: { summary } };
  const effects = Array.from({ length: 5_000 }, (_, index) => `cancel <!here> *query* of pid ${index}`);
  const history = storyOf({ trigger, target: "youtility3" }, 2, ...asking({ effects }));
  await followRecord({ call, channel: "#ops" })(message(), subject(history), ever);
  const [posted] = slack.messages();
  const [title, fired, since, demand, would, ...rest] = textsOf(posted?.blocks);
  expect([title, since, would]).toEqual([
    "Approve cancel on youtility3?",
    "Has fired for 2 minutes, since <!date^1767607080^{date_short_pretty} at {time}|2026-01-05 09:58 UTC>.",
    "*What it will do* (5000 effects):",
  ]);
  expect(demand).toMatch(/^\*Answer before <!date/);
  expect(fired).toHaveLength(500);
  expect(fired).toMatch(/^DatabaseOverload, critical, db-1:9187: <!channel> x+…$/);
  expect(rest[0]).toMatch(/^• cancel <!here> \*query\* of pid 0\n• cancel <!here> \*query\* of pid 1\n/);
  const shown = rest.join("\n").match(/^• /gm)?.length ?? 0;
  expect(shown).toBeGreaterThan(100);
  expect(rest.find((one) => one.includes("more effects"))).toBe(
    `*… and ${5_000 - shown} more effects.* All of them: <https://paramedic.example.net/api/v1/runs/${run}|Read the run> or \`paramedic show ${run}\``,
  );
  expect(posted && buttonsOf(posted)).toHaveLength(3);
});

test("whatever the text and the effects, Slack takes every message at the first try", async () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.constantFrom(
      evil,
      "",
      " ",
      "\u200b",
      "&".repeat(10_000),
      "<".repeat(9_999),
      "`".repeat(4_000),
      "汉".repeat(5_000),
      "🚑".repeat(3_000),
      "\ud800".repeat(500),
      "x".repeat(100_000),
    ),
  );
  const effects = fc.oneof(
    fc.array(text, { minLength: 1, maxLength: 30 }),
    fc
      .tuple(text, fc.integer({ min: 1, max: 5_000 }))
      .map(([one, times]) => Array.from({ length: times }, () => one.slice(0, 400))),
  );
  await fc.assert(
    fc.asyncProperty(text, effects, async (one, many) => {
      const before = slack.calls().length;
      expect(await tellAll(one, many)).toEqual([]);
      const refused = slack
        .calls()
        .slice(before)
        .filter(({ answer }) => answer?.["ok"] !== true);
      expect(refused.map(({ answer }) => answer)).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

interface Shown {
  readonly type?: string;
  readonly emoji?: boolean;
  readonly verbatim?: boolean;
}

function objectsOf(value: unknown): readonly Shown[] {
  if (typeof value !== "object" || value === null) return [];
  return [value as Shown, ...Object.values(value).flatMap(objectsOf)];
}

function plainOf(blocks: unknown): readonly Shown[] {
  return objectsOf(blocks).filter(({ type }) => type === "plain_text");
}

function verbatimOf(blocks: unknown): readonly (boolean | undefined)[] {
  return objectsOf(blocks)
    .filter(({ type }) => type === "mrkdwn")
    .map(({ verbatim }) => verbatim);
}
