import type { Happening } from "../../src/domain/event.ts";
import { noticeOf, subjectOf } from "../../src/oncall/notice.ts";
import { openQuestionOf } from "../../src/oncall/question.ts";
import { happened, historyOf } from "../support/builders.ts";
import { alertHistory, messageOf, run, subjectAfter } from "./notices.ts";

const around = { summary: null, publicUrl: null, listenUrl: "http://127.0.0.1:9095" };

test("a subject says what the history says of an alert's run", () => {
  const subject = subjectAfter(5, happened.ended("ineffective"), { type: "acknowledged", by: "api:night" });
  expect(subject).toMatchObject({
    run,
    playbook: "database-overload",
    target: "youtility3",
    ended: { outcome: "ineffective", reason: "the end" },
    episodeKey: "paramedic:am:cafe:2026-01-05T09:59:00.000Z",
    labels: { alertname: "DatabaseOverload" },
    annotations: { summary: "The database is busy" },
    startsAt: "2026-01-05T09:59:00.000Z",
    requestedBy: null,
    acknowledgedBy: "api:night",
    recovered: false,
    url: `https://paramedic.example.net/api/v1/runs/${run}`,
    baseUrl: "https://paramedic.example.net",
  });
});

test("a run that somebody asked for has a key of its own, and without a public address there is no link", () => {
  expect(subjectOf(run, historyOf(), around)).toMatchObject({
    episodeKey: `paramedic:${run}`,
    requestedBy: "api:tests",
    startsAt: null,
    labels: {},
    ended: null,
    url: null,
    baseUrl: "http://127.0.0.1:9095",
  });
  expect(subjectOf(run, historyOf().slice(1), around)).toBeNull();
});

test.each([
  ["fixed", true],
  ["nothing-to-do", false],
  ["resolved", true],
  ["ineffective", false],
  ["unknown", false],
  ["cancelled", false],
] as const)("a run that ended %s is over: %s", (outcome, recovered) => {
  expect(subjectAfter(1, happened.ended(outcome)).recovered).toBe(recovered);
  expect(subjectAfter(1, happened.ended(outcome), happened.recovered()).recovered).toBe(true);
  expect(subjectAfter(1).recovered).toBe(false);
});

test("that nothing had to be done is good news only where it was measured", () => {
  const measured = subjectAfter(1, happened.checked(true), happened.ended("nothing-to-do"));
  expect(measured.recovered).toBe(true);
});

test("who has a question has not what came of it", () => {
  const asked: Happening = { type: "escalated", policy: "database", reason: "it waits", topic: "approval-unasked" };
  const has: Happening = { type: "acknowledged", by: "api:night" };
  expect(subjectAfter(1, asked, has).acknowledgedBy).toBe("api:night");
  expect(subjectAfter(1, asked, has, happened.escalated()).acknowledgedBy).toBeNull();
});

test("what was handed over or held can be acknowledged, by the command line or by REST", () => {
  const held = { type: "escalated", policy: "database", reason: "not fixed within 5m", topic: "held" } as const;
  const subject = subjectAfter(300, held, 400, happened.escalated(), happened.ended("ineffective"));
  const handedOver = noticeOf(messageOf({ level: 1 }), subject, 3);
  expect(handedOver).toMatchObject({
    kind: "handed-over",
    outcome: "ineffective",
    reason: "the end",
    level: 2,
    levels: 3,
  });
  expect(handedOver.actions).toEqual([
    {
      label: "Say that you have it",
      command: `paramedic ack ${run}`,
      request: `curl -X POST -H "authorization: Bearer $PARAMEDIC_TOKEN" https://paramedic.example.net/api/v1/runs/${run}/acknowledge`,
    },
  ]);
  const notice = noticeOf(messageOf({ topic: "held" }), subjectAfter(300, held), 1);
  expect(notice).toMatchObject({ kind: "held", outcome: null, reason: "not fixed within 5m" });
  expect(notice.actions).toHaveLength(1);
});

test("what could not be asked for in Slack can be decided with exactly the digest that waits", () => {
  const subject = subjectAfter(
    1,
    happened.planned("sha256:aa"),
    happened.requested({ approval: "a7", digest: "sha256:aa" }),
    { type: "escalated", policy: "database", reason: "Slack does not answer", topic: "approval-unasked" },
  );
  const notice = noticeOf(messageOf({ topic: "approval-unasked" }), subject, 1);
  expect(notice).toMatchObject({ kind: "approval-unasked", reason: "Slack does not answer" });
  expect(notice.actions.map(({ label, command }) => [label, command])).toEqual([
    ["Approve", `paramedic approve ${run}`],
    ["Decline", `paramedic decline ${run}`],
  ]);
  const [approve] = notice.actions;
  expect(approve?.request).toContain(`-d '{"decision":"approve","digest":"sha256:aa"}'`);
  expect(approve?.request).toMatch(/https:\/\/paramedic\.example\.net\/api\/v1\/approvals\/a7$/);
});

test("an alert that is only told of asks for nothing and says why it is told", () => {
  expect(noticeOf(messageOf({ topic: "notify", policy: "monitoring" }), subjectAfter(), 1)).toMatchObject({
    kind: "firing",
    reason: "the alert fires and its playbook runs",
    actions: [],
  });
  const asked = subjectOf(run, historyOf(), around);
  expect(asked && noticeOf(messageOf({ topic: "notify" }), asked, 1).reason).toContain("api:tests asked for it");
});

test.each([
  ["asked", [], true],
  ["approved in part", [happened.approvedInPart()], true],
  ["approved", [happened.approved()], false],
  ["declined", [happened.declined()], false],
  ["expired", [happened.expired()], false],
  ["withdrawn", [happened.voided()], false],
  ["withdrawn and asked again", [happened.voided(), happened.requested({ approval: "a2" })], true],
  ["expired of an earlier approval", [happened.expired("a0")], true],
  ["ended", [happened.ended("cancelled")], false],
] as const)("a question that is %s", (_what, later, isOpen) => {
  expect(openQuestionOf(alertHistory(1, happened.requested(), ...later)) !== null).toBe(isOpen);
});
