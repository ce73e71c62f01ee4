/** Builders of playbooks, steps and histories for tests of the pure parts: every value has a default, tests name what matters. */

import { type Decision, decide } from "../../src/domain/decide.ts";
import type { Happening, RunEvent } from "../../src/domain/event.ts";
import type { ChangeStep, Check, ObserveStep, Playbook } from "../../src/domain/playbook.ts";
import type { Run } from "../../src/domain/run.ts";

/** When every built history begins, in milliseconds since 1970. */
export const begin = Date.parse("2026-01-05T10:00:00.000Z");

/** The time `seconds` after the beginning, RFC 3339 in UTC. */
export function timeAt(seconds: number): string {
  return new Date(begin + seconds * 1_000).toISOString();
}

export function observeStep(id: string, over: Partial<ObserveStep> = {}): ObserveStep {
  return { kind: "observe", id, do: "test.look", if: null, with: {}, timeoutMs: 5_000, onHost: false, ...over };
}

/** A change without risk that may be done again: it goes on by itself. */
export function changeStep(id: string, over: Partial<ChangeStep> = {}): ChangeStep {
  return {
    kind: "change",
    id,
    do: "test.change",
    if: null,
    with: {},
    timeoutMs: 5_000,
    onHost: false,
    risk: "low",
    repeat: "safe",
    approval: "by-risk",
    revert: null,
    ...over,
  };
}

/** A check that is measured every 10 seconds for a minute. */
export function check(over: Partial<Check> = {}): Check {
  return {
    do: "test.look",
    with: {},
    expect: "output.well",
    withinMs: 60_000,
    everyMs: 10_000,
    timeoutMs: 5_000,
    onHost: false,
    ...over,
  };
}

/** One change and nothing else: no rails, no verification. */
export function playbook(over: Partial<Playbook> = {}): Playbook {
  return {
    name: "test",
    summary: "A playbook of the tests.",
    hash: "sha256:00",
    source: "name: test",
    on: { alerts: ['alertname="Test"'], request: null },
    target: { name: "db" },
    cooldownMs: null,
    budget: [],
    onResolved: "stop",
    steps: [changeStep("change")],
    verify: [],
    escalate: null,
    announce: "now",
    notify: [],
    approvals: { atLeast: null, expireAfterMs: null, by: null },
    ...over,
  };
}

/** A history of these happenings. A number is the time of those that follow it, in seconds since the beginning. */
export function historyOf(...entries: readonly (number | Happening)[]): readonly RunEvent[] {
  const events: RunEvent[] = [];
  let seconds = 0;
  for (const entry of [happened.created(), ...entries]) {
    if (typeof entry === "number") seconds = entry;
    else events.push({ seq: events.length + 1, at: timeAt(seconds), ...entry });
  }
  return events;
}

/** A run whose worker holds the target's lock while the kill switch is off. */
export function runOf(of: Playbook, history: readonly RunEvent[], over: Partial<Run> = {}): Run {
  return {
    id: "run",
    playbook: of,
    dryRun: false,
    history,
    holdsTarget: true,
    paused: false,
    announcements: null,
    targetHost: null,
    workerHost: null,
    hostWaitMs: 60_000,
    ...over,
  };
}

/** What is decided `seconds` after the beginning. */
export function decideAt(seconds: number, run: Run): Decision {
  return decide(run, begin + seconds * 1_000);
}

/** The happenings of a run, by short names. */
export const happened = {
  created: (over: Partial<Extract<Happening, { type: "created" }>> = {}): Happening => ({
    type: "created",
    playbook: "test",
    playbookHash: "sha256:00",
    target: "db",
    trigger: { kind: "request", by: "api:tests", reason: "a test" },
    inputs: {},
    dryRun: false,
    ...over,
  }),
  takenOver: (): Happening => ({ type: "taken-over", worker: "other", fence: 2 }),
  passedOver: (step = "look", reason = "no route"): Happening => ({ type: "step-passed-over", step, reason }),
  skipped: (step = "change"): Happening => ({ type: "step-skipped", step, condition: "false" }),
  observed: (step = "look", found?: string): Happening => ({
    type: "step-observed",
    step,
    output: { well: true },
    ...(found === undefined ? {} : { found }),
    durationMs: 1,
  }),
  planned: (digest = "d1", effects: readonly string[] = ["would change"], step = "change"): Happening => ({
    type: "step-planned",
    step,
    digest,
    plan: { digest },
    effects,
    durationMs: 1,
  }),
  railsChecked: (
    used: readonly number[] = [],
    coolDownUntil: string | null = null,
    { limit = 3, step = "change" } = {},
  ): Happening => ({
    type: "rails-checked",
    step,
    budget: used.map((one) => ({ limit, windowMs: 3_600_000, used: one })),
    coolDownUntil,
  }),
  requested: ({ approval = "a1", digest = "d1", expires = 600, atLeast = 1, step = "change" } = {}): Happening => ({
    type: "approval-requested",
    step,
    approval,
    digest,
    effects: ["would change"],
    reasons: ["risk-high"],
    expiresAt: timeAt(expires),
    atLeast,
  }),
  approved: ({ approval = "a1", by = "ann", step = "change" } = {}): Happening => ({
    type: "approval-answered",
    step,
    approval,
    decision: "approve",
    by,
    reason: null,
    state: "approved",
  }),
  /** One of several people approved. */
  approvedInPart: ({ approval = "a1", by = "ann", step = "change" } = {}): Happening => ({
    type: "approval-answered",
    step,
    approval,
    decision: "approve",
    by,
    reason: null,
    state: "pending",
  }),
  declined: ({
    approval = "a1",
    by = "bob",
    reason = "not now" as string | null,
    step = "change",
  } = {}): Happening => ({
    type: "approval-answered",
    step,
    approval,
    decision: "decline",
    by,
    reason,
    state: "declined",
  }),
  /** Those who approved may, or may not, still do so. */
  approversChecked: (allowed = true, { approval = "a1", step = "change" } = {}): Happening => ({
    type: "approvers-checked",
    step,
    approval,
    allowed,
    reason: allowed ? null : "ann is not among the approvers any more",
  }),
  answerRefused: (step = "change"): Happening => ({
    type: "answer-refused",
    step,
    approval: "a1",
    by: "eve",
    reason: "has the role viewer",
  }),
  announcing: (notBefore = timeAt(0), { step = "change", places = ["slack"] } = {}): Happening => ({
    type: "announcing",
    step,
    effects: ["would change"],
    places,
    notBefore,
  }),
  announced: (way = "slack"): Happening => ({ type: "told", way, level: 1, to: way, topic: "announcement" }),
  notAnnounced: (way = "slack"): Happening => ({
    type: "not-told",
    way,
    level: 1,
    reason: "it is away",
    topic: "announcement",
  }),
  movedToHost: (host = "app-1"): Happening => ({ type: "moved-to-host", host }),
  arrivedAtHost: (): Happening => ({ type: "arrived-at-host", host: "app-1", worker: "app-1/1" }),
  mitigationBegan: (step = "change"): Happening => ({
    type: "mitigation-began",
    step,
    mitigation: "m1",
    action: "test.change",
    plan: { digest: "d1" },
    effects: ["would change"],
    revertAt: timeAt(3_600),
    onResolved: false,
  }),
  mitigationEnded: (reverted = true): Happening => ({ type: "mitigation-ended", mitigation: "m1", reverted }),
  mitigationDecided: (): Happening => ({
    type: "mitigation-decided",
    mitigation: "m1",
    decision: "keep",
    by: "ann",
    reason: "it helps",
  }),
  notifying: (entry = 0, ways: readonly string[] = ["email"]): Happening => ({
    type: "notifying",
    entry,
    contact: "monitoring",
    ways,
    reason: null,
  }),
  recoveryChecked: (passed = true): Happening => ({
    type: "recovery-checked",
    passed,
    reason: passed ? null : "it does not hold",
  }),
  recovered: (): Happening => ({ type: "recovered", reason: "the alert resolved, and every check holds" }),
  expired: (approval = "a1", step = "change"): Happening => ({ type: "approval-expired", step, approval }),
  voided: (approval = "a1", step = "change"): Happening => ({
    type: "approval-voided",
    step,
    approval,
    reason: "what would change is no longer what was approved",
  }),
  started: (digest = "d1", step = "change"): Happening => ({ type: "step-started", step, digest }),
  said: (digest = "d1", step = "say"): Happening => ({ type: "step-started", step, digest, tells: true }),
  finished: (step = "change"): Happening => ({ type: "step-finished", step, result: { changed: 1 }, durationMs: 1 }),
  reported: (step = "say", ways = ["email", "slack"]): Happening => ({
    type: "step-finished",
    step,
    result: { points: ["All is well."], table: null, plots: [] },
    durationMs: 1,
    report: { contact: "monitoring", ways },
  }),
  failed: (
    during: Extract<Happening, { type: "step-failed" }>["during"],
    { retryable = true, step = "change", reason = "it did not work" } = {},
  ): Happening => ({ type: "step-failed", step, during, reason, retryable }),
  inDoubt: (step = "change"): Happening => ({ type: "step-in-doubt", step, reason: "it took longer than 5 s" }),
  probed: (answer: "applied" | "not-applied" | "unknown", step = "change"): Happening => ({
    type: "step-probed",
    step,
    answer,
  }),
  checked: (passed: boolean, check = 0): Happening => ({
    type: "verification-checked",
    check,
    passed,
    output: { well: passed },
    reason: null,
  }),
  resolved: (): Happening => ({ type: "alert-resolved", endsAt: timeAt(1) }),
  cancelled: (): Happening => ({ type: "cancel-requested", by: "ann", reason: "false alarm" }),
  escalated: (): Happening => ({ type: "escalated", policy: null, reason: "it did not help" }),
  ended: (outcome: Extract<Happening, { type: "ended" }>["outcome"] = "fixed"): Happening => ({
    type: "ended",
    outcome,
    reason: "the end",
  }),
} as const;

/** For callbacks that are told of an error which a test does not expect. */
export function rethrow(_: unknown, error: unknown): never {
  throw error;
}
