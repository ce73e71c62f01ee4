import type { Decision } from "../../src/domain/decide.ts";
import type { Happening, Outcome } from "../../src/domain/event.ts";
import { parseMaintenanceWindow } from "../../src/domain/maintenance-window.ts";
import type { ChangeStep, Playbook } from "../../src/domain/playbook.ts";
import type { Run } from "../../src/domain/run.ts";
import {
  begin,
  changeStep,
  check,
  decideAt,
  happened,
  historyOf,
  observeStep,
  playbook,
  runOf,
  timeAt,
} from "../support/builders.ts";

const {
  announced,
  announcing,
  answerRefused,
  approved,
  approvedInPart,
  approversChecked,
  cancelled,
  checked,
  declined,
  ended,
  escalated,
  expired,
  failed,
  finished,
  inDoubt,
  mitigationBegan,
  mitigationDecided,
  mitigationEnded,
  movedToHost,
  arrivedAtHost,
  notAnnounced,
  notifying,
  observed,
  passedOver,
  planned,
  probed,
  railsChecked,
  recovered,
  recoveryChecked,
  requested,
  resolved,
  skipped,
  started,
  takenOver,
  voided,
} = happened;

/** What stands in a row: the run, when it is looked at, and what must be decided. */
interface Row {
  readonly name: string;
  readonly playbook?: Playbook;
  readonly past?: readonly (number | Happening)[];
  /** Seconds since the beginning. */
  readonly at?: number;
  readonly run?: Partial<Run>;
  readonly decided: object;
}

const atMs = (seconds: number): number => begin + seconds * 1_000;
const announcements = { places: ["slack", "status-page"], leadMs: 300_000 };
const stepOf = (id: string) => expect.objectContaining({ id });
const end = (outcome: Outcome, reason?: string) =>
  reason === undefined ? { do: "end", outcome } : { do: "end", outcome, reason: expect.stringContaining(reason) };
const wait = (what: string, until: number) => ({ do: "wait", for: what, until: atMs(until) });
const plan = { do: "plan", step: stepOf("change") };
const apply = { do: "apply", step: stepOf("change") };
const change = (over: Partial<ChangeStep>, rest: Partial<Playbook> = {}) =>
  playbook({ steps: [changeStep("change", over)], ...rest });
const two = playbook({ steps: [changeStep("change"), changeStep("second")] });
const asking = change({ risk: "high" });
const once = change({ repeat: "once" });
const verified = playbook({ verify: [check()] });
const railed = playbook({ cooldownMs: 600_000, budget: [{ limit: 3, windowMs: 3_600_000 }] });
const doneUntil = (seconds: number) => [planned(), started(), seconds, finished()] as const;

const nightly = playbook({ during: "maintenance" });
/** The beginning is a Monday at 10:00 UTC. */
const windows = (text: string) => [parseMaintenanceWindow(text)].filter((one) => one !== null);

const rows: readonly Row[] = [
  // Steps in order
  { name: "a change is planned first", decided: plan },
  {
    name: "an observation is made first",
    playbook: playbook({ steps: [observeStep("look"), changeStep("change")] }),
    decided: { do: "observe", step: stepOf("look") },
  },
  {
    name: "after an observation comes the next step",
    playbook: playbook({ steps: [observeStep("look"), changeStep("change")] }),
    past: [observed()],
    decided: plan,
  },
  {
    name: "a skipped step is passed over",
    playbook: two,
    past: [skipped()],
    decided: { do: "plan", step: stepOf("second") },
  },
  {
    name: "a plan without effects is passed over",
    playbook: two,
    past: [planned("d1", [])],
    decided: { do: "plan", step: stepOf("second") },
  },
  {
    name: "a finished step is passed over",
    playbook: two,
    past: doneUntil(1),
    decided: { do: "plan", step: stepOf("second") },
  },
  { name: "a plan of low risk is applied", past: [planned()], decided: apply },
  {
    name: "a start without an end is nothing to go on from",
    past: [planned(), started()],
    decided: end("unknown", "never recorded"),
  },

  // Risk and approval
  ...(["low", "high", "irreversible"] as const).flatMap((risk) =>
    (["by-risk", "always", "never"] as const).map((approval): Row => {
      const reasons = [
        ...(approval === "always" ? ["playbook-asks"] : []),
        ...(risk === "high" && approval !== "never" ? ["risk-high"] : []),
        ...(risk === "irreversible" ? ["risk-irreversible"] : []),
      ];
      return {
        name: `risk ${risk} with approval ${approval} ${reasons.length > 0 ? `asks for ${reasons}` : "is applied"}`,
        playbook: change({ risk, approval }),
        past: [planned()],
        decided: reasons.length > 0 ? { do: "ask", step: stepOf("change"), reasons } : apply,
      };
    }),
  ),
  {
    name: "a step that is asked for waits until the approval expires",
    playbook: asking,
    past: [planned(), requested()],
    at: 5,
    decided: wait("approval", 600),
  },
  {
    name: "just before it expires it still waits",
    playbook: asking,
    past: [planned(), requested()],
    at: 599.999,
    decided: wait("approval", 600),
  },
  {
    name: "at the moment of expiry it expires",
    playbook: asking,
    past: [planned(), requested()],
    at: 600,
    decided: { do: "expire", step: stepOf("change"), approval: "a1" },
  },
  {
    name: "an expired approval ends the run",
    playbook: asking,
    past: [planned(), requested(), 600, expired()],
    at: 600,
    decided: end("expired", "nobody approved step 'change' in time"),
  },
  {
    name: "a declined approval ends the run with who and why",
    playbook: asking,
    past: [planned(), requested(), declined()],
    decided: end("declined", "declined by bob: not now"),
  },
  {
    name: "a decline without a reason is said to have none",
    playbook: asking,
    past: [planned(), requested(), declined({ reason: null })],
    decided: end("declined", "no reason given"),
  },
  {
    name: "one approval of two is not enough",
    playbook: asking,
    past: [planned(), requested({ atLeast: 2 }), approvedInPart()],
    at: 5,
    decided: wait("approval", 600),
  },
  {
    name: "one approval of two expires like none",
    playbook: asking,
    past: [planned(), requested({ atLeast: 2 }), approvedInPart()],
    at: 601,
    decided: { do: "expire", step: stepOf("change"), approval: "a1" },
  },
  {
    name: "a decline after one approval of two ends the run",
    playbook: asking,
    past: [planned(), requested({ atLeast: 2 }), approvedInPart(), declined()],
    decided: end("declined", "bob"),
  },
  {
    name: "after the second approval it is planned again",
    playbook: asking,
    past: [planned(), requested({ atLeast: 2 }), approvedInPart(), approved({ by: "bob" })],
    decided: plan,
  },
  {
    name: "an approved step is planned again before it is applied",
    playbook: asking,
    past: [planned(), requested(), approved()],
    decided: plan,
  },
  {
    name: "an approval that came in time is good after its expiry",
    playbook: asking,
    past: [planned(), requested(), 599, approved(), 899, planned(), 900, approversChecked()],
    at: 900,
    decided: apply,
  },
  {
    name: "an approval is good for as long as there was to decide it, and is then asked for again",
    playbook: asking,
    past: [planned(), requested(), 599, approved()],
    at: 1_200,
    decided: { do: "void", step: stepOf("change"), approval: "a1" },
  },
  {
    name: "what was planned a minute ago is planned again before it is applied",
    playbook: asking,
    past: [planned(), requested(), approved(), planned()],
    at: 61,
    decided: plan,
  },
  {
    name: "the same digest again is applied",
    playbook: asking,
    past: [planned(), requested(), approved(), planned("d1"), approversChecked()],
    decided: apply,
  },
  {
    name: "those who approved are looked up again before the same digest is applied",
    playbook: asking,
    past: [planned(), requested({ atLeast: 2 }), approvedInPart({ by: "bob" }), approved(), planned("d1")],
    decided: { do: "check-approvers", step: stepOf("change"), approval: "a1", by: ["bob", "ann"] },
  },
  {
    name: "that they may still approve holds for a few seconds only",
    playbook: asking,
    past: [planned(), requested(), approved(), planned("d1"), approversChecked()],
    at: 6,
    decided: { do: "check-approvers" },
  },
  {
    name: "an approver who may not approve any more voids the approval",
    playbook: asking,
    past: [planned(), requested(), approved(), planned("d1"), approversChecked(false)],
    decided: {
      do: "void",
      step: stepOf("change"),
      approval: "a1",
      reason: "ann is not among the approvers any more",
    },
  },
  {
    name: "who may not decide and tries to changes nothing",
    playbook: asking,
    past: [planned(), requested(), answerRefused()],
    at: 5,
    decided: wait("approval", 600),
  },
  {
    name: "another digest voids the approval",
    playbook: asking,
    past: [planned(), requested(), approved(), planned("d2")],
    decided: {
      do: "void",
      step: stepOf("change"),
      approval: "a1",
      reason: expect.stringContaining("no longer what was approved"),
    },
  },
  {
    name: "a voided approval is asked for again",
    playbook: asking,
    past: [planned(), requested(), approved(), planned("d2"), voided()],
    decided: { do: "ask", step: stepOf("change"), reasons: ["risk-high"] },
  },
  {
    name: "the second approval is good for the second digest",
    playbook: asking,
    past: [
      planned(),
      requested(),
      approved(),
      planned("d2"),
      voided(),
      requested({ approval: "a2", digest: "d2" }),
      approved({ approval: "a2" }),
      planned("d2"),
      approversChecked(true, { approval: "a2" }),
    ],
    decided: apply,
  },
  {
    name: "the first approval is worth nothing for the second digest",
    playbook: asking,
    past: [
      planned(),
      requested(),
      approved(),
      planned("d2"),
      voided(),
      requested({ approval: "a2", digest: "d2" }),
      approved({ approval: "a1" }),
    ],
    at: 5,
    decided: wait("approval", 600),
  },
  {
    name: "an approved plan that has become empty is passed over",
    playbook: asking,
    past: [planned(), requested(), approved(), planned("d0", [])],
    decided: end("nothing-to-do"),
  },
  {
    name: "a failed observation is made again",
    playbook: playbook({ steps: [observeStep("look")] }),
    past: [failed("observe", { step: "look" })],
    at: 2,
    decided: { do: "observe", step: stepOf("look") },
  },

  // Maintenance windows
  {
    name: "what is done during maintenance is planned at any time, since there may be nothing to do",
    playbook: nightly,
    decided: plan,
  },
  {
    name: "inside a maintenance window it is applied",
    playbook: nightly,
    past: [planned()],
    run: { maintenance: windows("Mon 09:00-10:01 UTC") },
    decided: apply,
  },
  {
    name: "outside of every maintenance window it is refused, and the windows are said",
    playbook: nightly,
    past: [planned()],
    run: { maintenance: windows("Sun 02:00-05:00 UTC") },
    decided: end("refused", "no maintenance window is open (Sun 02:00-05:00 UTC)"),
  },
  {
    name: "nothing begins that may take longer than the maintenance window is open",
    playbook: { ...two, during: "maintenance" },
    past: [...doneUntil(50), 55, planned("d2", ["would change"], "second")],
    at: 56,
    run: { maintenance: windows("Mon 09:00-10:01 UTC") },
    decided: end("refused", "it may take 5s, its timeout, and the maintenance window closes in 4s"),
  },
  {
    name: "what has just the time until the maintenance window closes begins",
    playbook: { ...two, during: "maintenance" },
    past: [...doneUntil(50), 55, planned("d2", ["would change"], "second")],
    at: 55,
    run: { maintenance: windows("Mon 09:00-10:01 UTC") },
    decided: { do: "apply", step: stepOf("second") },
  },
  {
    name: "where the target has no maintenance window it is refused",
    playbook: nightly,
    past: [planned()],
    decided: end("refused", "has no maintenance window"),
  },
  {
    name: "what is left when the window closes is refused",
    playbook: { ...two, during: "maintenance" },
    past: [...doneUntil(50), 58, planned("d2", ["would change"], "second")],
    at: 60,
    run: { maintenance: windows("Mon 09:00-10:01 UTC") },
    decided: end("refused", "step 'second' was not done"),
  },
  {
    name: "what was approved in the window is refused after it",
    playbook: { ...asking, during: "maintenance" },
    past: [planned(), requested(), 58, approved(), planned()],
    at: 60,
    run: { maintenance: windows("Mon 09:00-10:01 UTC") },
    decided: end("refused"),
  },
  {
    name: "nobody is asked for what is outside of the window",
    playbook: { ...asking, during: "maintenance" },
    past: [planned()],
    run: { maintenance: windows("Sun 02:00-05:00 UTC") },
    decided: end("refused"),
  },
  {
    name: "a dry run is made at any time",
    playbook: nightly,
    past: [planned()],
    run: { dryRun: true, maintenance: windows("Sun 02:00-05:00 UTC") },
    decided: end("nothing-to-do"),
  },
  {
    name: "what is only said is said at any time",
    playbook: playbook({ during: "maintenance", steps: [changeStep("change", { tells: true })] }),
    past: [planned()],
    decided: apply,
  },

  // Rails
  {
    name: "with a cool-down the rails are counted before the change",
    playbook: playbook({ cooldownMs: 1_000 }),
    past: [planned()],
    decided: { do: "check-rails", step: stepOf("change") },
  },
  {
    name: "with a budget the rails are counted before the change",
    playbook: playbook({ budget: [{ limit: 1, windowMs: 1 }] }),
    past: [planned()],
    decided: { do: "check-rails", step: stepOf("change") },
  },
  { name: "without rails there is nothing to count", past: [planned()], decided: apply },
  { name: "within the budget it is applied", playbook: railed, past: [planned(), railsChecked([2])], decided: apply },
  {
    name: "over the budget it asks",
    playbook: railed,
    past: [planned(), railsChecked([3])],
    decided: { do: "ask", step: stepOf("change"), reasons: ["budget-spent"] },
  },
  {
    name: "one spent window of two is enough to ask",
    playbook: railed,
    past: [planned(), railsChecked([0, 4])],
    decided: { do: "ask", step: stepOf("change"), reasons: ["budget-spent"] },
  },
  {
    name: "over the budget it asks even where the playbook says never",
    playbook: { ...railed, steps: [changeStep("change", { approval: "never" })] },
    past: [planned(), railsChecked([3])],
    decided: { do: "ask", step: stepOf("change"), reasons: ["budget-spent"] },
  },
  {
    name: "risk and budget are both said",
    playbook: { ...railed, steps: [changeStep("change", { risk: "high", approval: "always" })] },
    past: [planned(), railsChecked([3])],
    decided: { do: "ask", step: stepOf("change"), reasons: ["playbook-asks", "risk-high", "budget-spent"] },
  },
  {
    name: "within the cool-down it is refused",
    playbook: railed,
    past: [planned(), railsChecked([0], timeAt(60))],
    at: 1,
    decided: end("refused", `which lasts until ${timeAt(60)}`),
  },
  {
    name: "within the cool-down it is refused rather than asked for",
    playbook: { ...railed, steps: [changeStep("change", { risk: "high" })] },
    past: [planned(), railsChecked([9], timeAt(60))],
    at: 1,
    decided: end("refused"),
  },
  {
    name: "at the end of the cool-down it goes on",
    playbook: railed,
    past: [planned(), 59, railsChecked([0], timeAt(60))],
    at: 60,
    decided: apply,
  },
  {
    name: "rails that were counted long ago are counted again",
    playbook: railed,
    past: [planned(), railsChecked([0])],
    at: 30,
    decided: { do: "check-rails", step: stepOf("change") },
  },
  {
    name: "an approved step is not stopped by rails that people saw",
    playbook: railed,
    past: [planned(), railsChecked([3]), requested(), approved(), planned(), 30, approversChecked()],
    at: 30,
    decided: apply,
  },

  // Failures and retries
  { name: "after the first failure it waits 2 s", past: [10, failed("plan")], at: 10, decided: wait("retry", 12) },
  { name: "2 s after the first failure it tries again", past: [10, failed("plan")], at: 12, decided: plan },
  {
    name: "after the second failure it waits 10 s",
    past: [failed("plan"), 10, failed("plan")],
    at: 11,
    decided: wait("retry", 20),
  },
  {
    name: "10 s after the second failure it tries again",
    past: [failed("plan"), 10, failed("plan")],
    at: 20,
    decided: plan,
  },
  {
    name: "the third failure ends the run",
    past: [failed("plan"), failed("plan"), failed("plan")],
    decided: end("failed", "step 'change' (test.change): it did not work"),
  },
  {
    name: "a failure for good ends the run at once",
    past: [failed("plan", { retryable: false })],
    decided: end("failed"),
  },
  {
    name: "a condition that cannot be evaluated ends the run",
    past: [failed("condition", { retryable: false })],
    decided: end("failed"),
  },
  {
    name: "an observation waits for its retry too",
    playbook: playbook({ steps: [observeStep("look")] }),
    past: [10, failed("observe", { step: "look" })],
    at: 11,
    decided: wait("retry", 12),
  },
  {
    name: "an optional observation that fails in a way that may pass is tried again first",
    playbook: playbook({ steps: [observeStep("look", { optional: true }), changeStep("change")] }),
    past: [10, failed("observe", { step: "look" })],
    at: 10,
    decided: wait("retry", 12),
  },
  {
    name: "an optional observation that fails for good is passed over",
    playbook: playbook({ steps: [observeStep("look", { optional: true }), changeStep("change")] }),
    past: [failed("observe", { step: "look", retryable: false, reason: "no route" })],
    decided: { do: "pass-over", step: stepOf("look"), reason: "no route" },
  },
  {
    name: "so is one whose condition cannot be evaluated",
    playbook: playbook({ steps: [observeStep("look", { optional: true }), changeStep("change")] }),
    past: [failed("condition", { step: "look", retryable: false })],
    decided: { do: "pass-over", step: stepOf("look") },
  },
  {
    name: "after what was passed over the run goes on",
    playbook: playbook({ steps: [observeStep("look", { optional: true }), changeStep("change")] }),
    past: [failed("observe", { step: "look", retryable: false }), passedOver()],
    decided: plan,
  },
  {
    name: "an observation fails for good too",
    playbook: playbook({ steps: [observeStep("look")] }),
    past: [failed("observe", { step: "look", retryable: false })],
    decided: end("failed", "step 'look'"),
  },
  {
    name: "a failed apply is planned again after 2 s",
    past: [planned(), started(), 10, failed("apply")],
    at: 12,
    decided: plan,
  },
  {
    name: "an apply that fails each time is not tried for ever",
    past: [
      planned(),
      started(),
      failed("apply"),
      2,
      planned(),
      started(),
      failed("apply"),
      12,
      planned(),
      started(),
      failed("apply"),
    ],
    at: 60,
    decided: end("failed"),
  },
  {
    name: "the retry of an approved apply needs no second approval for the same digest",
    playbook: asking,
    past: [
      planned(),
      requested(),
      approved(),
      planned(),
      started(),
      failed("apply"),
      2,
      planned("d1"),
      approversChecked(),
    ],
    at: 2,
    decided: apply,
  },
  {
    name: "the retry of an approved apply with another digest voids the approval",
    playbook: asking,
    past: [planned(), requested(), approved(), planned(), started(), failed("apply"), 2, planned("d9")],
    at: 2,
    decided: { do: "void" },
  },
  {
    name: "a failure of the second step does not undo the first",
    playbook: two,
    past: [...doneUntil(1), failed("plan", { step: "second", retryable: false })],
    decided: end("failed", "step 'second'"),
  },

  // Doubt: safe
  { name: "a safe step in doubt is planned again", past: [planned(), started(), inDoubt()], decided: plan },
  {
    name: "a safe step whose worker stopped is planned again",
    past: [planned(), started(), takenOver()],
    decided: plan,
  },
  {
    name: "a safe step that was in doubt and planned again is applied",
    past: [planned(), started(), takenOver(), planned()],
    decided: apply,
  },
  {
    name: "of which nothing is left to do, a step in doubt has changed something",
    past: [planned(), started(), takenOver(), planned("d0", [])],
    decided: end("unknown", "no `verify`"),
  },
  {
    name: "an approved step in doubt is applied again only with the approved digest",
    playbook: asking,
    past: [planned(), requested(), approved(), planned(), started(), takenOver(), planned("d2")],
    decided: { do: "void", step: stepOf("change"), approval: "a1" },
  },
  {
    name: "an approved step in doubt is applied again with the approved digest",
    playbook: asking,
    past: [planned(), requested(), approved(), planned(), started(), takenOver(), planned("d1"), approversChecked()],
    decided: apply,
  },
  {
    name: "the third doubt ends the run",
    past: [planned(), started(), inDoubt(), planned(), started(), inDoubt(), planned(), started(), inDoubt()],
    decided: end("unknown", "cannot be told"),
  },
  {
    name: "a step in doubt whose planning fails waits to retry",
    past: [planned(), started(), inDoubt(), 10, failed("plan")],
    at: 11,
    decided: wait("retry", 12),
  },
  {
    name: "a step in doubt whose planning fails for good is unknown, not failed",
    past: [planned(), started(), inDoubt(), failed("plan", { retryable: false })],
    decided: end("unknown"),
  },
  {
    name: "a cancel while a safe step is in doubt says that it was not looked into",
    past: [planned(), started(), inDoubt(), cancelled()],
    decided: end("unknown", "was not looked into"),
  },
  {
    name: "a resolve while a safe step is in doubt says that it was not looked into",
    past: [planned(), started(), inDoubt(), resolved()],
    decided: end("unknown", "was not looked into"),
  },

  // Doubt: once
  {
    name: "a step that may be done once is probed",
    playbook: once,
    past: [planned(), started(), inDoubt()],
    decided: { do: "probe", step: stepOf("change") },
  },
  {
    name: "it is probed even when cancelled",
    playbook: once,
    past: [planned(), started(), takenOver(), cancelled()],
    decided: { do: "probe", step: stepOf("change") },
  },
  {
    name: "found applied, it is done",
    playbook: once,
    past: [planned(), started(), inDoubt(), probed("applied")],
    decided: end("unknown", "no `verify`"),
  },
  {
    name: "found not applied, it is planned again",
    playbook: once,
    past: [planned(), started(), inDoubt(), probed("not-applied")],
    decided: plan,
  },
  {
    name: "found not applied and cancelled, it ends cancelled",
    playbook: once,
    past: [planned(), started(), inDoubt(), cancelled(), probed("not-applied")],
    decided: end("cancelled"),
  },
  {
    name: "found not applied and resolved, it ends resolved",
    playbook: once,
    past: [planned(), started(), inDoubt(), resolved(), probed("not-applied")],
    decided: end("resolved"),
  },
  {
    name: "found not applied and resolved after an earlier change, it verifies",
    playbook: playbook({ steps: [changeStep("first"), changeStep("change", { repeat: "once" })], verify: [check()] }),
    past: [
      planned("d", ["x"], "first"),
      started("d", "first"),
      finished("first"),
      planned(),
      started(),
      inDoubt(),
      resolved(),
      probed("not-applied"),
    ],
    decided: { do: "verify", index: 0 },
  },
  {
    name: "a probe that cannot tell ends the run",
    playbook: once,
    past: [planned(), started(), inDoubt(), probed("unknown")],
    decided: end("unknown", "cannot be told whether step 'change'"),
  },
  {
    name: "a failing probe waits to be tried again",
    playbook: once,
    past: [planned(), started(), inDoubt(), 10, failed("probe")],
    at: 11,
    decided: wait("retry", 12),
  },
  {
    name: "a failing probe is tried again",
    playbook: once,
    past: [planned(), started(), inDoubt(), 10, failed("probe")],
    at: 12,
    decided: { do: "probe" },
  },
  {
    name: "a probe that fails each time ends the run",
    playbook: once,
    past: [planned(), started(), inDoubt(), failed("probe"), failed("probe"), failed("probe")],
    decided: end("unknown"),
  },
  {
    name: "a new doubt is probed anew",
    playbook: once,
    past: [planned(), started(), inDoubt(), probed("not-applied"), planned(), started(), takenOver()],
    decided: { do: "probe" },
  },
  {
    name: "the third doubt ends the run, whatever the probe says",
    playbook: once,
    past: [
      planned(),
      started(),
      inDoubt(),
      probed("not-applied"),
      planned(),
      started(),
      inDoubt(),
      probed("not-applied"),
      planned(),
      started(),
      inDoubt(),
      probed("not-applied"),
    ],
    decided: end("unknown"),
  },

  // Take-overs
  { name: "two take-overs during a step are borne", past: [takenOver(), takenOver()], decided: plan },
  {
    name: "the third take-over during a step ends the run",
    past: [takenOver(), takenOver(), takenOver()],
    decided: end("failed", "3 workers stopped during step 'change' (test.change)"),
  },
  {
    name: "the third take-over with the effect in doubt ends it unknown",
    past: [takenOver(), takenOver(), planned(), started(), takenOver()],
    decided: end("unknown", "whether it took effect is not known"),
  },
  {
    name: "a settled step starts the count anew",
    playbook: two,
    past: [takenOver(), takenOver(), ...doneUntil(1), takenOver()],
    decided: { do: "plan", step: stepOf("second") },
  },
  {
    name: "the third take-over during verification ends the run",
    playbook: verified,
    past: [...doneUntil(1), takenOver(), takenOver(), takenOver()],
    decided: end("unknown", "during verification"),
  },

  // Verification
  {
    name: "after the last step it verifies",
    playbook: verified,
    past: doneUntil(10),
    at: 10,
    decided: { do: "verify", index: 0 },
  },
  {
    name: "a check that holds means fixed",
    playbook: verified,
    past: [...doneUntil(10), checked(true)],
    at: 10,
    decided: end("fixed"),
  },
  {
    name: "a check that holds where nothing was changed means nothing to do",
    playbook: verified,
    past: [skipped(), checked(true)],
    decided: end("nothing-to-do", "every check"),
  },
  {
    name: "a check that does not hold is waited for",
    playbook: verified,
    past: [...doneUntil(10), 11, checked(false)],
    at: 11,
    decided: wait("verification", 21),
  },
  {
    name: "when the wait is over it measures again",
    playbook: verified,
    past: [...doneUntil(10), 11, checked(false)],
    at: 21,
    decided: { do: "verify", index: 0 },
  },
  {
    name: "the last wait ends at the deadline",
    playbook: verified,
    past: [...doneUntil(10), 65, checked(false)],
    at: 66,
    decided: wait("verification", 70),
  },
  {
    name: "at the deadline it measures for the last time",
    playbook: verified,
    past: [...doneUntil(10), 65, checked(false)],
    at: 70,
    decided: { do: "verify", index: 0 },
  },
  {
    name: "a check that does not hold at the deadline means ineffective",
    playbook: verified,
    past: [...doneUntil(10), 70, checked(false)],
    at: 70,
    decided: end("ineffective", "'output.well' did not hold within 1m"),
  },
  {
    name: "a check that holds at last means fixed however late",
    playbook: verified,
    past: [...doneUntil(10), 70, checked(true)],
    at: 125,
    decided: end("fixed"),
  },
  {
    name: "a run that comes late to its verification measures once all the same",
    playbook: verified,
    past: doneUntil(10),
    at: 900,
    decided: { do: "verify", index: 0 },
  },
  {
    name: "nothing changed and the check does not hold: ineffective too",
    playbook: verified,
    past: [skipped(), 60, checked(false)],
    at: 60,
    decided: end("ineffective", "nothing could be changed and the trouble is still there"),
  },
  {
    name: "the time counts from the last settled step",
    playbook: { ...two, verify: [check()] },
    past: [...doneUntil(10), 100, planned("d", [], "second"), 101, checked(false)],
    at: 105,
    decided: wait("verification", 111),
  },
  {
    name: "checks are measured in their order",
    playbook: playbook({ verify: [check(), check({ expect: "second" })] }),
    past: [...doneUntil(10), checked(true)],
    at: 10,
    decided: { do: "verify", index: 1 },
  },
  {
    name: "a second check does not hide that the first one fails",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), checked(false)],
    at: 11,
    decided: wait("verification", 20),
  },
  {
    name: "each check has its own time",
    playbook: playbook({ verify: [check(), check({ withinMs: 5_000 })] }),
    past: [...doneUntil(10), 12, checked(true), 14, checked(false, 1)],
    at: 14,
    decided: wait("verification", 15),
  },
  {
    name: "what passed before another check failed is measured again, once that one passes too",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), 12, checked(true), checked(false, 1), 22, checked(true, 1)],
    at: 22,
    decided: { do: "verify", index: 0 },
  },
  {
    name: "what passed and is not measured again yet does not hold up the one that failed",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), 12, checked(true), checked(false, 1)],
    at: 22,
    decided: { do: "verify", index: 1 },
  },
  {
    name: "a check that holds no longer when it is measured again is waited for like any other",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), 12, checked(true), checked(false, 1), 22, checked(true, 1), checked(false)],
    at: 22,
    decided: wait("verification", 32),
  },
  {
    name: "what held before has the longest time there is when it fails as it is measured again",
    playbook: playbook({ verify: [check({ withinMs: 5_000 }), check()] }),
    past: [...doneUntil(10), 12, checked(true), checked(false, 1), 30, checked(true, 1), checked(false)],
    at: 30,
    decided: wait("verification", 40),
  },
  {
    name: "what was measured before the run was held up is measured again",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), 12, checked(true), 73, checked(true, 1)],
    at: 73,
    decided: { do: "verify", index: 0 },
  },
  {
    name: "checks that each take long are measured twice and no more",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), 12, checked(true), 73, checked(true, 1), 140, checked(true), 210, checked(true, 1)],
    at: 210,
    decided: end("fixed", "every check"),
  },
  {
    name: "all that hold together, the run is fixed",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), 12, checked(true), checked(false, 1), 22, checked(true, 1), checked(true)],
    at: 22,
    decided: end("fixed", "every check"),
  },
  {
    name: "all checks must hold",
    playbook: playbook({ verify: [check(), check()] }),
    past: [...doneUntil(10), checked(true), checked(true, 1)],
    decided: end("fixed"),
  },
  {
    name: "a change without a verification is unknown, never fixed",
    past: doneUntil(1),
    decided: end("unknown", "no `verify`"),
  },
  {
    name: "no change and no verification is nothing to do",
    past: [planned("d", [])],
    decided: end("nothing-to-do", "nothing had to be changed"),
  },
  {
    name: "a playbook without steps verifies",
    playbook: playbook({ steps: [], verify: [check()] }),
    decided: { do: "verify", index: 0 },
  },

  // Resolved
  {
    name: "resolved before anything was changed, it ends resolved",
    past: [resolved()],
    decided: end("resolved", "before anything was changed"),
  },
  { name: "resolved after the plan, it ends resolved", past: [planned(), resolved()], decided: end("resolved") },
  {
    name: "resolved after a change, it skips to the verification",
    playbook: { ...two, verify: [check()] },
    past: [...doneUntil(10), resolved()],
    decided: { do: "verify", index: 0 },
  },
  {
    name: "resolved and verified after a change, it is fixed",
    playbook: { ...two, verify: [check()] },
    past: [...doneUntil(10), resolved(), checked(true)],
    decided: end("fixed"),
  },
  {
    name: "resolved and still bad after a change, it is ineffective",
    playbook: { ...two, verify: [check()] },
    past: [...doneUntil(10), resolved(), 70, checked(false)],
    at: 70,
    decided: end("ineffective"),
  },
  {
    name: "resolved while nothing had to be changed, it does not verify",
    playbook: verified,
    past: [skipped(), resolved()],
    decided: end("resolved"),
  },
  {
    name: "resolved while it waits for approval, it voids the approval",
    playbook: asking,
    past: [planned(), requested(), resolved()],
    decided: { do: "void", approval: "a1", reason: expect.stringContaining("resolved") },
  },
  {
    name: "resolved and voided, it ends",
    playbook: asking,
    past: [planned(), requested(), resolved(), voided()],
    decided: end("resolved"),
  },
  {
    name: "resolved after the approval, it is not applied",
    playbook: asking,
    past: [planned(), requested(), approved(), resolved()],
    decided: end("resolved"),
  },
  {
    name: "resolved before a change, when nobody but a mailbox was told, it does not measure",
    playbook: verified,
    past: [notifying(), resolved()],
    decided: end("resolved", "before anything was changed"),
  },
  ...(
    [
      ["PagerDuty was told", notifying(0, ["email", "pagerduty"])],
      ["an escalation was told", escalated()],
    ] as const
  ).flatMap(([told, happening]): Row[] => [
    {
      name: `resolved before a change, when ${told}, it measures`,
      playbook: verified,
      past: [happening, resolved()],
      decided: { do: "verify", index: 0 },
    },
    {
      name: `resolved before a change, when ${told}, and measured well, it ends resolved`,
      playbook: verified,
      past: [happening, resolved(), checked(true)],
      decided: end("resolved", "and every check of the playbook holds"),
    },
    {
      name: `resolved before a change, when ${told}, and not well yet, it measures again`,
      playbook: verified,
      past: [happening, 600, resolved(), checked(false)],
      at: 601,
      decided: wait("verification", 610),
    },
    {
      name: `resolved before a change, when ${told}, and still bad in the end, it is ineffective`,
      playbook: verified,
      past: [happening, 600, resolved(), 660, checked(false)],
      at: 660,
      decided: end("ineffective", "the alert resolved before anything was changed, but"),
    },
    {
      name: `resolved before a change, when ${told}, of a playbook that measures nothing, it ends resolved`,
      past: [happening, resolved()],
      decided: end("resolved", "before anything was changed"),
    },
    {
      name: `resolved while it waits for approval, when ${told}, it voids the approval before it measures`,
      playbook: { ...asking, verify: [check()] },
      past: [planned(), requested(), happening, resolved()],
      decided: { do: "void", approval: "a1", reason: expect.stringContaining("resolved") },
    },
  ]),
  {
    name: "with on_resolved: finish it goes on before a change",
    playbook: playbook({ onResolved: "finish" }),
    past: [resolved()],
    decided: plan,
  },
  {
    name: "with on_resolved: finish it goes on after a change",
    playbook: { ...two, onResolved: "finish" },
    past: [...doneUntil(1), resolved()],
    decided: { do: "plan", step: stepOf("second") },
  },
  {
    name: "with on_resolved: finish it goes on waiting for approval",
    playbook: { ...asking, onResolved: "finish" },
    past: [planned(), requested(), resolved()],
    at: 1,
    decided: wait("approval", 600),
  },
  { name: "resolved while it waits to retry, it ends", past: [failed("plan"), resolved()], decided: end("resolved") },

  // Cancelled at every state
  { name: "cancelled at the start", past: [cancelled()], decided: end("cancelled", "cancelled by ann: false alarm") },
  { name: "cancelled when planned", past: [planned(), cancelled()], decided: end("cancelled") },
  {
    name: "cancelled when the rails were counted",
    playbook: railed,
    past: [planned(), railsChecked([0]), cancelled()],
    decided: end("cancelled"),
  },
  {
    name: "cancelled while it waits for approval",
    playbook: asking,
    past: [planned(), requested(), cancelled()],
    decided: { do: "void", approval: "a1", reason: expect.stringContaining("cancelled by ann") },
  },
  {
    name: "cancelled and voided",
    playbook: asking,
    past: [planned(), requested(), cancelled(), voided()],
    decided: end("cancelled"),
  },
  {
    name: "cancelled when approved",
    playbook: asking,
    past: [planned(), requested(), approved(), cancelled()],
    decided: end("cancelled"),
  },
  { name: "cancelled when failed", past: [failed("plan"), cancelled()], decided: end("cancelled") },
  {
    name: "cancelled after a change",
    playbook: { ...two, verify: [check()] },
    past: [...doneUntil(1), cancelled()],
    decided: end("cancelled"),
  },
  {
    name: "cancelled while it verifies",
    playbook: verified,
    past: [...doneUntil(1), checked(false), cancelled()],
    decided: end("cancelled"),
  },
  {
    name: "cancelled with on_resolved: finish",
    playbook: playbook({ onResolved: "finish" }),
    past: [resolved(), cancelled()],
    decided: end("cancelled"),
  },
  {
    name: "cancelled while the kill switch is on",
    past: [cancelled()],
    run: { paused: true },
    decided: end("cancelled"),
  },

  // Dry run
  { name: "a dry run plans", run: { dryRun: true }, decided: plan },
  {
    name: "a dry run applies nothing",
    playbook: two,
    past: [planned()],
    run: { dryRun: true },
    decided: { do: "plan", step: stepOf("second") },
  },
  {
    name: "a dry run asks nobody and counts no rails",
    playbook: { ...railed, steps: [changeStep("change", { risk: "irreversible" })] },
    past: [planned()],
    run: { dryRun: true },
    decided: end("nothing-to-do", "dry run: 1 effect planned, none applied"),
  },
  {
    name: "a dry run does not verify",
    playbook: verified,
    past: [planned("d", ["a", "b"])],
    run: { dryRun: true },
    decided: end("nothing-to-do", "2 effects planned"),
  },
  { name: "a dry run needs no lock", run: { dryRun: true, holdsTarget: false }, decided: plan },
  { name: "a dry run is stopped by the kill switch", run: { dryRun: true, paused: true }, decided: wait("switch", 15) },
  { name: "a dry run that is cancelled ends", past: [cancelled()], run: { dryRun: true }, decided: end("cancelled") },

  // The kill switch and the lock
  {
    name: "paused, nothing is observed",
    playbook: playbook({ steps: [observeStep("look")] }),
    run: { paused: true },
    decided: wait("switch", 15),
  },
  { name: "paused, nothing is planned", run: { paused: true }, decided: wait("switch", 15) },
  {
    name: "paused, nothing is counted or applied",
    past: [planned()],
    run: { paused: true },
    decided: wait("switch", 15),
  },
  {
    name: "paused, an approved step waits",
    playbook: asking,
    past: [planned(), requested(), approved()],
    run: { paused: true },
    decided: wait("switch", 15),
  },
  {
    name: "paused, an approval is still waited for",
    playbook: asking,
    past: [planned(), requested()],
    run: { paused: true },
    at: 1,
    decided: wait("approval", 600),
  },
  {
    name: "paused, an approval still expires",
    playbook: asking,
    past: [planned(), requested()],
    run: { paused: true },
    at: 600,
    decided: { do: "expire" },
  },
  {
    name: "paused, a safe step in doubt waits",
    past: [planned(), started(), inDoubt()],
    run: { paused: true },
    decided: wait("switch", 15),
  },
  {
    name: "paused, nothing is probed",
    playbook: once,
    past: [planned(), started(), inDoubt()],
    run: { paused: true },
    decided: wait("switch", 15),
  },
  {
    name: "paused, nothing is retried",
    past: [failed("plan")],
    run: { paused: true },
    at: 5,
    decided: wait("switch", 20),
  },
  {
    name: "paused, nothing is verified",
    playbook: verified,
    past: doneUntil(1),
    run: { paused: true },
    at: 1,
    decided: wait("switch", 16),
  },
  {
    name: "paused, nothing is verified again",
    playbook: verified,
    past: [...doneUntil(1), checked(false)],
    run: { paused: true },
    at: 11,
    decided: wait("switch", 26),
  },
  { name: "paused goes before the lock", run: { paused: true, holdsTarget: false }, decided: wait("switch", 15) },
  { name: "without the lock, nothing is planned", run: { holdsTarget: false }, decided: wait("target", 15) },
  {
    name: "without the lock, nothing is applied",
    past: [planned()],
    run: { holdsTarget: false },
    decided: wait("target", 15),
  },
  {
    name: "without the lock, nothing is probed",
    playbook: once,
    past: [planned(), started(), inDoubt()],
    run: { holdsTarget: false },
    decided: wait("target", 15),
  },
  {
    name: "without the lock, nothing is verified",
    playbook: verified,
    past: doneUntil(1),
    run: { holdsTarget: false },
    at: 1,
    decided: wait("target", 16),
  },
  {
    name: "without the lock, a cancelled run ends",
    past: [cancelled()],
    run: { holdsTarget: false },
    decided: end("cancelled"),
  },

  // Announcing
  {
    name: "the first change is announced before it is applied",
    past: [planned()],
    run: { announcements },
    decided: { do: "announce", step: stepOf("change"), places: ["slack", "status-page"], notBefore: atMs(0) },
  },
  {
    name: "what is only said to people is neither announced nor limited by the rails",
    playbook: change({ tells: true }, { cooldownMs: 600_000, budget: [{ limit: 3, windowMs: 3_600_000 }] }),
    past: [planned()],
    run: { announcements },
    decided: apply,
  },
  {
    name: "a run that only said something to people has changed nothing, and needs no measurement",
    playbook: change({ tells: true }),
    past: [planned(), started(), finished()],
    decided: end("nothing-to-do", "nothing had to be changed"),
  },
  {
    name: "a change after something was said is announced",
    playbook: playbook({ steps: [changeStep("change", { tells: true }), changeStep("second")] }),
    past: [planned(), started(), finished(), planned("d1", ["one"], "second")],
    run: { announcements },
    decided: { do: "announce", step: stepOf("second") },
  },
  {
    name: "a run whose playbook announces nothing applies at once",
    playbook: playbook({ announce: "never" }),
    past: [planned()],
    run: { announcements },
    decided: apply,
  },
  {
    name: "a dry run announces nothing",
    past: [planned()],
    run: { announcements, dryRun: true },
    decided: end("nothing-to-do"),
  },
  {
    name: "what asks is announced only once it is approved",
    playbook: asking,
    past: [planned()],
    run: { announcements },
    decided: { do: "ask" },
  },
  {
    name: "what is approved is announced before those who approved are looked up again",
    playbook: asking,
    past: [planned(), requested(), approved(), planned()],
    run: { announcements },
    decided: { do: "announce" },
  },
  {
    name: "a change waits until its announcement stands everywhere",
    past: [planned(), announcing(timeAt(0), { places: ["slack", "status-page"] }), announced()],
    at: 1,
    run: { announcements },
    decided: wait("announcement", 10),
  },
  {
    name: "a change goes on once its announcement stands, or was given up, everywhere",
    past: [
      planned(),
      announcing(timeAt(0), { places: ["slack", "status-page"] }),
      announced(),
      notAnnounced("status-page"),
    ],
    at: 1,
    run: { announcements },
    decided: apply,
  },
  {
    name: "a change does not wait for ever for a place that is away",
    past: [planned(), announcing()],
    at: 10,
    run: { announcements },
    decided: apply,
  },
  {
    name: "a change that is announced before waits for the lead time",
    playbook: playbook({ announce: "before" }),
    past: [planned()],
    run: { announcements },
    decided: { do: "announce", notBefore: atMs(300) },
  },
  {
    name: "the lead time passes even though the announcement stands",
    playbook: playbook({ announce: "before" }),
    past: [planned(), announcing(timeAt(300)), announced()],
    at: 1,
    run: { announcements },
    decided: wait("lead-time", 300),
  },
  {
    name: "after the lead time the step is planned again",
    playbook: playbook({ announce: "before" }),
    past: [planned(), announcing(timeAt(300)), announced()],
    at: 300,
    run: { announcements },
    decided: plan,
  },
  {
    name: "planned again after the lead time, the step is applied",
    playbook: playbook({ announce: "before" }),
    past: [planned(), announcing(timeAt(300)), announced(), 300, planned()],
    at: 301,
    run: { announcements },
    decided: apply,
  },
  {
    name: "a run announces once, not each of its changes",
    playbook: two,
    past: [planned(), announcing(), announced(), started(), finished(), planned("d1", ["y"], "second")],
    at: 1,
    run: { announcements },
    decided: { do: "apply", step: stepOf("second") },
  },
  {
    name: "an alert that resolves during the lead time ends the run before anything is changed",
    playbook: playbook({ announce: "before" }),
    past: [planned(), announcing(timeAt(300)), announced(), resolved()],
    at: 2,
    run: { announcements },
    decided: end("resolved"),
  },

  // Notifying
  {
    name: "an entry of notify without a condition is told before anything else",
    playbook: playbook({ notify: [{ contact: "monitoring", if: null, needs: [] }] }),
    decided: { do: "notify", entry: 0 },
  },
  {
    name: "people are told while the kill switch is on, too",
    playbook: playbook({ notify: [{ contact: "monitoring", if: null, needs: [] }] }),
    run: { paused: true },
    decided: { do: "notify", entry: 0 },
  },
  {
    name: "each entry of notify is decided once",
    playbook: playbook({ notify: [{ contact: "monitoring", if: null, needs: [] }] }),
    past: [notifying(0)],
    decided: plan,
  },
  {
    name: "an entry that needs a step waits for it",
    playbook: playbook({
      steps: [observeStep("look"), changeStep("change")],
      notify: [{ contact: "paging", if: "steps.look.bad", needs: ["look"] }],
    }),
    decided: { do: "observe" },
  },
  {
    name: "an entry that needs a step is decided once that step is over",
    playbook: playbook({
      steps: [observeStep("look"), changeStep("change")],
      notify: [{ contact: "paging", if: "steps.look.bad", needs: ["look"] }],
    }),
    past: [observed("look")],
    decided: { do: "notify", entry: 0 },
  },
  {
    name: "a dry run notifies nobody",
    playbook: playbook({ notify: [{ contact: "monitoring", if: null, needs: [] }] }),
    run: { dryRun: true },
    decided: plan,
  },
  {
    name: "what is measured and found after the end moves nothing",
    past: [ended("failed"), resolved(), recoveryChecked(false), recoveryChecked(), recovered()],
    decided: { do: "nothing" },
  },

  // Hosts
  {
    name: "a step that must be done on the target's host is left to a worker there",
    playbook: change({ onHost: true }),
    run: { targetHost: "app-1" },
    decided: { do: "move", host: "app-1" },
  },
  {
    name: "a worker of the target's host does it",
    playbook: change({ onHost: true }),
    run: { targetHost: "app-1", workerHost: "app-1" },
    decided: plan,
  },
  {
    name: "a target without a host is everybody's",
    playbook: change({ onHost: true }),
    decided: plan,
  },
  {
    name: "a step that can be done from anywhere is not moved",
    run: { targetHost: "app-1" },
    decided: plan,
  },
  {
    name: "while a worker of the host is waited for, the run is left to it again",
    playbook: change({ onHost: true }),
    past: [movedToHost()],
    at: 59,
    run: { targetHost: "app-1" },
    decided: { do: "move" },
  },
  {
    name: "a run that a worker of the host had taken is left to them anew, however long ago that was",
    playbook: change({ onHost: true }),
    past: [movedToHost(), 1, arrivedAtHost()],
    at: 6_000,
    run: { targetHost: "app-1" },
    decided: { do: "move" },
  },
  {
    name: "a run whose worker at the host stopped is left to the others there",
    playbook: change({ onHost: true }),
    past: [movedToHost(), 90, takenOver()],
    at: 90,
    run: { targetHost: "app-1" },
    decided: { do: "move" },
  },
  {
    name: "a run is left to the host only once it has its target, so that it waits there for nothing else",
    playbook: change({ onHost: true }),
    run: { targetHost: "app-1", holdsTarget: false },
    decided: { do: "wait", for: "target" },
  },
  {
    name: "where no worker of the host comes in time, people are told",
    playbook: change({ onHost: true }),
    past: [movedToHost(), 30, movedToHost()],
    at: 60,
    run: { targetHost: "app-1" },
    decided: end("failed", "no worker of the host app-1"),
  },
  {
    name: "where a step in doubt cannot be looked into on its host, whether it took effect is not known",
    playbook: change({ onHost: true }),
    past: [planned(), started(), takenOver(), movedToHost()],
    at: 60,
    run: { targetHost: "app-1" },
    decided: end("unknown", "no worker of the host app-1"),
  },
  {
    name: "a check that must be measured on the host is left to a worker there",
    playbook: playbook({ steps: [changeStep("change")], verify: [check({ onHost: true })] }),
    past: [...doneUntil(1)],
    at: 1,
    run: { targetHost: "app-1" },
    decided: { do: "move", host: "app-1" },
  },

  // Mitigations
  {
    name: "what may have been changed when a run gives up is put back too",
    playbook: change({ repeat: "once", revert: { afterMs: 60_000, onResolved: false } }),
    past: [planned(), started(), takenOver(), probed("unknown")],
    decided: { do: "begin-mitigation", step: stepOf("change") },
  },
  {
    name: "and then it gives up",
    playbook: change({ repeat: "once", revert: { afterMs: 60_000, onResolved: false } }),
    past: [planned(), started(), takenOver(), probed("unknown"), mitigationBegan()],
    decided: end("unknown", "cannot be told"),
  },
  {
    name: "what is known not to have been changed is not put back",
    playbook: change({ repeat: "once", revert: { afterMs: 60_000, onResolved: false } }),
    past: [planned(), started(), takenOver(), probed("not-applied"), cancelled()],
    decided: end("cancelled"),
  },
  {
    name: "what is to be put back is noted as soon as it is done",
    playbook: change({ revert: { afterMs: 60_000, onResolved: false } }),
    past: [planned(), started(), finished()],
    decided: { do: "begin-mitigation", step: stepOf("change") },
  },
  {
    name: "it is noted once",
    playbook: change({ revert: { afterMs: 60_000, onResolved: false } }),
    past: [planned(), started(), finished(), mitigationBegan()],
    decided: end("unknown", "no `verify`"),
  },
  {
    name: "it is noted before a cancel ends the run, and where the effect was in doubt and turned out to be there",
    playbook: change({ revert: { afterMs: null, onResolved: true } }),
    past: [planned(), started(), takenOver(), planned("d0", []), cancelled()],
    decided: { do: "begin-mitigation" },
  },
  {
    name: "a step that changed nothing is not put back",
    playbook: change({ revert: { afterMs: 60_000, onResolved: false } }),
    past: [planned("d0", [])],
    decided: end("nothing-to-do"),
  },
  {
    name: "what becomes of a mitigation moves nothing",
    past: [mitigationDecided(), mitigationEnded()],
    decided: plan,
  },

  // The end
  { name: "what has ended has ended", past: [...doneUntil(1), ended()], decided: { do: "nothing" } },
  { name: "a resolve after the end changes nothing", past: [ended("failed"), resolved()], decided: { do: "nothing" } },
  { name: "telling people moves nothing", past: [escalated()], decided: plan },
  {
    name: "who was told, who was not and who has it moves nothing",
    past: [
      { type: "told", way: "email", level: 1, to: "oncall@example.net" },
      { type: "not-told", way: "pagerduty", level: 2, reason: "the routing key is not known" },
      { type: "acknowledge-refused", by: "slack:U0", reason: "has the role none, and this needs operator" },
      { type: "acknowledged", by: "api:oncall" },
      { type: "set-aside", worker: "app-1/7" },
    ],
    decided: plan,
  },
];

describe("decide", () => {
  test.each(rows)("$name", ({ playbook: of = playbook(), past = [], at = 0, run = {}, decided }) => {
    expect(decideAt(at, runOf(of, historyOf(...past), run))).toEqual(
      "do" in decided && decided.do === "end"
        ? { reason: expect.any(String), ...decided }
        : expect.objectContaining(decided),
    );
  });

  test("every type of event, every decision and every outcome it can give occurs in a row", () => {
    const events = {
      created: true,
      "taken-over": true,
      "step-skipped": true,
      "step-passed-over": true,
      "step-observed": true,
      "step-planned": true,
      "rails-checked": true,
      "approval-requested": true,
      "approval-answered": true,
      "approval-expired": true,
      "approval-voided": true,
      "step-started": true,
      "step-finished": true,
      "step-failed": true,
      "step-in-doubt": true,
      "step-probed": true,
      "verification-checked": true,
      "alert-resolved": true,
      "cancel-requested": true,
      escalated: true,
      ended: true,
      "set-aside": true,
      "answer-refused": true,
      "approvers-checked": true,
      announcing: true,
      notifying: true,
      "recovery-checked": true,
      recovered: true,
      "mitigation-began": true,
      "mitigation-ended": true,
      "mitigation-decided": true,
      "moved-to-host": true,
      "arrived-at-host": true,
      told: true,
      "not-told": true,
      acknowledged: true,
      "acknowledge-refused": true,
    } as const satisfies Record<Happening["type"], true>;
    const decisions = {
      observe: true,
      "pass-over": true,
      plan: true,
      "check-rails": true,
      ask: true,
      notify: true,
      announce: true,
      "begin-mitigation": true,
      move: true,
      "check-approvers": true,
      expire: true,
      void: true,
      apply: true,
      probe: true,
      verify: true,
      wait: true,
      end: true,
      nothing: true,
    } as const satisfies Record<Decision["do"], true>;
    const waits = {
      approval: true,
      verification: true,
      target: true,
      switch: true,
      retry: true,
      announcement: true,
      "lead-time": true,
    } as const satisfies Record<Extract<Decision, { do: "wait" }>["for"], true>;
    const outcomes = {
      fixed: true,
      ineffective: true,
      "nothing-to-do": true,
      declined: true,
      expired: true,
      cancelled: true,
      resolved: true,
      refused: true,
      failed: true,
      unknown: true,
    } as const satisfies Record<Outcome, true>;

    const seenEvents = new Set(rows.flatMap(({ past = [] }) => historyOf(...past).map((event) => event.type)));
    const made = rows.map(({ playbook: of = playbook(), past = [], at = 0, run = {} }) =>
      decideAt(at, runOf(of, historyOf(...past), run)),
    );
    expect([...seenEvents].sort()).toEqual(Object.keys(events).sort());
    expect([...new Set(made.map((one) => one.do))].sort()).toEqual(Object.keys(decisions).sort());
    expect([...new Set(made.flatMap((one) => (one.do === "wait" ? [one.for] : [])))].sort()).toEqual(
      Object.keys(waits).sort(),
    );
    expect([...new Set(made.flatMap((one) => (one.do === "end" ? [one.outcome] : [])))].sort()).toEqual(
      Object.keys(outcomes).sort(),
    );
  });
});
