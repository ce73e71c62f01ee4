import { foundIn } from "../../src/oncall/found.ts";
import { happened, historyOf } from "../support/builders.ts";
import { evilText } from "./notices.ts";

test("what was found is told in the order in which it was looked at, the newest of each, and nothing else", () => {
  const story = historyOf(
    happened.observed("measured", "responses take 1200 ms"),
    happened.observed("silent"),
    happened.observed("cache", "40 % of lookups hit"),
    happened.observed("measured", "responses take 900 ms"),
    happened.checked(false),
  );
  expect(foundIn(story)).toEqual(["responses take 900 ms", "40 % of lookups hit"]);
});

test("what could not be looked at is told too: it is missing from what people decide by", () => {
  const story = historyOf(
    happened.observed("measured", "responses take 900 ms"),
    happened.passedOver("cache", "no route"),
  );
  expect(foundIn(story)).toEqual(["responses take 900 ms", "cache: not known (no route)"]);
});

test("each is one short safe line, and there are few", () => {
  const many = Array.from({ length: 30 }, (_, index) => happened.observed(`step${index}`, evilText.repeat(20)));
  const found = foundIn(historyOf(...many));
  expect(found).toHaveLength(8);
  for (const line of found) {
    expect(line.length).toBeLessThanOrEqual(200);
    expect(line).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Cf}]+$/u);
  }
});
