/** What need not be told any more, and what must be told whatever happened. */

import type { Happening } from "../../src/domain/event.ts";
import type { Topic } from "../../src/domain/topic.ts";
import { whyMoot } from "../../src/oncall/moot.ts";
import { happened } from "../support/builders.ts";
import { messageOf, subjectAfter } from "./notices.ts";

const { approved, approvedInPart, declined, ended, escalated, expired, recovered, requested, voided } = happened;
const acknowledged: Happening = { type: "acknowledged", by: "api:night" };
const handedOver = [escalated(), ended("ineffective")];

test.each<[Topic, string, readonly Happening[], string | null]>([
  ["handed-over", "nobody has it", handedOver, null],
  ["handed-over", "somebody has it", [...handedOver, acknowledged], "api:night has it"],
  ["handed-over", "it has recovered", [...handedOver, recovered()], "it is over"],
  ["held", "the run goes on", [], null],
  ["held", "the run was fixed", [ended("fixed")], "it is over"],
  ["held", "the run was cancelled", [ended("cancelled")], "the run has ended"],
  ["held", "the run was handed over, which is told by itself", handedOver, "the run has ended"],
  ["approval-unasked", "it waits", [requested()], null],
  ["approval-unasked", "one of two approved", [requested({ atLeast: 2 }), approvedInPart()], null],
  ["approval-unasked", "it is approved", [requested(), approved()], "the approval is decided"],
  ["approval-unasked", "it is declined", [requested(), declined()], "the approval is decided"],
  ["approval-unasked", "it has expired", [requested(), expired()], "the approval is decided"],
  ["approval-unasked", "it is withdrawn", [requested(), voided()], "the approval is decided"],
  ["approval-unasked", "it is asked for anew", [requested(), voided(), requested({ approval: "a2" })], null],
  ["approval-unasked", "the run has ended", [requested(), ended("cancelled")], "the approval is decided"],
  ["notify", "the run was fixed", [ended("fixed")], null],
  ["record", "the run was fixed", [ended("fixed")], null],
  ["announcement", "the run was fixed", [ended("fixed")], null],
  ["changes", "the run was fixed", [ended("fixed")], null],
])("%s: %s", (topic, _what, past, expected) => {
  expect(whyMoot(messageOf({ topic }), subjectAfter(...past))).toBe(expected);
});

test("what was told already is brought up to date, whoever has it", () => {
  expect(whyMoot(messageOf({ shownSeq: 3 }), subjectAfter(...handedOver, acknowledged))).toBeNull();
});
