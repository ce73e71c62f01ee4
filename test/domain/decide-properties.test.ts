import fc from "fast-check";
import { type Decision, decide, mostTakeovers } from "../../src/domain/decide.ts";
import type { Happening, RunEvent } from "../../src/domain/event.ts";
import type { Playbook, Step } from "../../src/domain/playbook.ts";
import { progressOf } from "../../src/domain/progress.ts";
import type { Run } from "../../src/domain/run.ts";
import { begin, changeStep, check, happened, historyOf, observeStep, playbook } from "../support/builders.ts";

const executing: ReadonlySet<Decision["do"]> = new Set(["observe", "plan", "apply", "probe", "verify"]);
/** More decisions than these, after the surprises have run out, would be a run that does not end. */
const calmDecisions = 120;

const steps: fc.Arbitrary<readonly Step[]> = fc
  .array(
    fc.oneof(
      { weight: 1, arbitrary: fc.constant("observe" as const) },
      { weight: 1, arbitrary: fc.constant("look" as const) },
      {
        weight: 3,
        arbitrary: fc.record({
          risk: fc.constantFrom("low" as const, "high" as const, "irreversible" as const),
          repeat: fc.constantFrom("safe" as const, "once" as const),
          approval: fc.constantFrom("by-risk" as const, "always" as const, "never" as const),
          revert: fc.constantFrom(null, { afterMs: 60_000, onResolved: false }),
          onHost: fc.boolean(),
        }),
      },
    ),
    { minLength: 0, maxLength: 4 },
  )
  .map((kinds) =>
    kinds.map((kind, index) => {
      if (kind === "observe") return observeStep(`s${index}`);
      if (kind === "look") return observeStep(`s${index}`, { optional: true });
      return changeStep(`s${index}`, kind);
    }),
  );

const playbooks: fc.Arbitrary<Playbook> = fc
  .record({
    steps,
    onResolved: fc.constantFrom("stop" as const, "finish" as const),
    cooldownMs: fc.constantFrom(null, 600_000),
    budget: fc.constantFrom([], [{ limit: 3, windowMs: 3_600_000 }]),
    verify: fc.constantFrom([], [check()], [check(), check({ withinMs: 20_000, everyMs: 3_000 })]),
    announce: fc.constantFrom("never" as const, "now" as const, "before" as const),
    notify: fc.constantFrom(
      [],
      [
        { contact: "monitoring", if: null, needs: [] },
        { contact: "paging", if: "steps.s0.bad", needs: ["s0"] },
      ],
    ),
  })
  .map(playbook);

/** What the world does: numbers that are used up one by one; afterwards everything goes well. */
const surprises = fc.array(fc.nat({ max: 999 }), { maxLength: 150 });

interface Simulated {
  readonly playbook: Playbook;
  readonly history: readonly RunEvent[];
  readonly decisions: readonly { readonly decision: Decision; readonly run: Run; readonly now: number }[];
}

/** Drives a run as a worker would, with actions, people and outsiders that do as `numbers` say. */
function simulate(of: Playbook, dryRun: boolean, numbers: readonly number[]): Simulated {
  const left = [...numbers];
  const draw = <T>(calm: T, ...others: readonly T[]): T => {
    const number = left.shift();
    if (number === undefined) return calm;
    // Half of the surprises are none.
    return number % 2 === 0 ? calm : (others[(number >> 1) % others.length] as T);
  };
  const history: RunEvent[] = [...historyOf()];
  const decisions: Simulated["decisions"][number][] = [];
  let now = begin;
  let approvals = 0;
  const happen = (happening: Happening) => {
    history.push({ seq: history.length + 1, at: new Date(now).toISOString(), ...happening });
  };
  const crash = () => happen(happened.takenOver());

  while (decisions.length < numbers.length + calmDecisions) {
    for (const outside of [draw(null, null, null, null, happened.resolved(), null, null, null, happened.cancelled())]) {
      if (outside) happen(outside);
    }
    const run: Run = {
      id: "run",
      playbook: of,
      dryRun,
      history: [...history],
      holdsTarget: draw(true, true, true, false),
      paused: draw(false, false, false, true),
      targetHost: "app-1",
      workerHost: draw("app-1", "app-1", "app-1", null),
      hostWaitMs: 60_000,
      announcements: draw(null, { places: ["slack"], leadMs: 60_000 }),
    };
    const decision = decide(run, now);
    decisions.push({ decision, run, now });
    if (decision.do === "nothing") break;
    now += draw(10, 1_000, 5_000);
    switch (decision.do) {
      case "observe": {
        const { id } = decision.step;
        draw(
          () => happen(happened.observed(id)),
          () => happen(happened.failed("observe", { step: id })),
          () => happen(happened.failed("observe", { step: id, retryable: false })),
          () => happen(happened.skipped(id)),
          crash,
        )();
        break;
      }
      case "plan": {
        const { id } = decision.step;
        const first = progressOf(history).steps.get(id) === undefined;
        draw(
          () => happen(happened.planned("d1", ["x"], id)),
          () => happen(happened.planned("d2", ["x", "y"], id)),
          () => happen(happened.planned("d0", [], id)),
          () => happen(happened.failed("plan", { step: id })),
          () => happen(happened.failed("plan", { step: id, retryable: false })),
          () => (first ? happen(happened.skipped(id)) : crash()),
          crash,
        )();
        break;
      }
      case "check-rails":
        happen(
          draw(
            happened.railsChecked([0], null, { step: decision.step.id }),
            happened.railsChecked([3], null, { step: decision.step.id }),
            happened.railsChecked([0], new Date(now + 60_000).toISOString(), { step: decision.step.id }),
          ),
        );
        break;
      case "ask": {
        approvals += 1;
        const digest = progressOf(history).steps.get(decision.step.id)?.digest ?? "";
        const expires = (now - begin) / 1_000 + 600;
        happen(happened.requested({ approval: `a${approvals}`, digest, expires, step: decision.step.id }));
        break;
      }
      case "expire":
        happen(happened.expired(decision.approval, decision.step.id));
        break;
      case "void":
        happen(happened.voided(decision.approval, decision.step.id));
        break;
      case "apply": {
        const { id } = decision.step;
        happen(happened.started(progressOf(history).steps.get(id)?.digest ?? "", id));
        draw(
          () => happen(happened.finished(id)),
          () => happen(happened.failed("apply", { step: id })),
          () => happen(happened.failed("apply", { step: id, retryable: false })),
          () => happen(happened.inDoubt(id)),
          crash,
        )();
        break;
      }
      case "probe": {
        const { id } = decision.step;
        draw(
          () => happen(happened.probed("applied", id)),
          () => happen(happened.probed("not-applied", id)),
          () => happen(happened.probed("unknown", id)),
          () => happen(happened.failed("probe", { step: id })),
          crash,
        )();
        break;
      }
      case "verify":
        draw(
          () => happen(happened.checked(true, decision.index)),
          () => happen(happened.checked(false, decision.index)),
          crash,
        )();
        break;
      case "wait": {
        const pending = decision.for === "approval" ? pendingApproval(history) : null;
        if (pending) {
          const { id: approval, step } = pending;
          draw(
            () => happen(happened.approved({ approval, step })),
            () => happen(happened.declined({ approval, step })),
            () => {
              now = decision.until;
            },
          )();
        } else {
          now = Math.max(now, decision.until);
        }
        break;
      }
      case "end":
        happen(happened.ended(decision.outcome));
        break;
      case "check-approvers":
        happen(
          happened.approversChecked(draw(true, true, true, false), {
            approval: decision.approval,
            step: decision.step.id,
          }),
        );
        break;
      case "pass-over":
        happen(happened.passedOver(decision.step.id));
        break;
      case "announce":
        happen(happened.announcing(new Date(decision.notBefore).toISOString(), { step: decision.step.id }));
        break;
      case "move":
        happen(happened.movedToHost());
        break;
      case "begin-mitigation":
        happen(happened.mitigationBegan(decision.step.id));
        break;
      case "notify":
        happen(happened.notifying(decision.entry, draw(["email"], ["pagerduty"])));
        break;
      default:
        decision satisfies never;
    }
  }
  return { playbook: of, history, decisions };
}

function pendingApproval(history: readonly RunEvent[]): { id: string; step: string } | null {
  for (const [step, { approval }] of progressOf(history).steps) {
    if (approval?.state === "pending") return { id: approval.id, step };
  }
  return null;
}

const simulations = fc.record({ of: playbooks, dryRun: fc.boolean(), numbers: surprises });
const always = (holds: (simulated: Simulated, dryRun: boolean) => void) =>
  fc.assert(
    fc.property(simulations, ({ of, dryRun, numbers }) => holds(simulate(of, dryRun, numbers), dryRun)),
    { numRuns: 400 },
  );

describe("decide, for any legal history", () => {
  test("comes to an end", () => {
    always(({ decisions }) => expect(decisions.at(-1)?.decision).toEqual({ do: "nothing" }));
  });

  test("says the same for the same history and changes nothing of it", () => {
    always(({ decisions }) => {
      for (const { decision, run, now } of decisions) {
        const before = JSON.stringify(run);
        expect(decide(run, now)).toEqual(decision);
        expect(JSON.stringify(run)).toBe(before);
      }
    });
  });

  test("never throws, at any moment of any beginning of the history", () => {
    always(({ playbook: of, history }, dryRun) => {
      for (let length = 0; length <= history.length; length++) {
        for (const now of [0, begin, begin + 600_000, Number.MAX_SAFE_INTEGER]) {
          const run: Run = {
            id: "run",
            playbook: of,
            dryRun,
            history: history.slice(0, length),
            holdsTarget: true,
            paused: false,
            announcements: null,
            targetHost: null,
            workerHost: null,
            hostWaitMs: 60_000,
          };
          expect(typeof decide(run, now).do).toBe("string");
        }
      }
    });
  });

  test("executes nothing while the kill switch is on", () => {
    always(({ decisions }) => {
      for (const { run, now } of decisions) {
        expect(executing).not.toContain(decide({ ...run, paused: true }, now).do);
      }
    });
  });

  test("executes nothing without the lock of the target, except for a dry run", () => {
    always(({ decisions }, dryRun) => {
      if (dryRun) return;
      for (const { run, now } of decisions) {
        expect(executing).not.toContain(decide({ ...run, holdsTarget: false }, now).do);
      }
    });
  });

  test("changes nothing and asks nobody in a dry run", () => {
    always(({ decisions }, dryRun) => {
      if (!dryRun) return;
      for (const { decision } of decisions)
        expect(["apply", "ask", "probe", "verify", "check-rails"]).not.toContain(decision.do);
    });
  });

  test("never applies a step twice without a new plan in between, and a step that may be done once only after a probe found it not applied", () => {
    always(({ decisions }) => {
      for (const { decision, run } of decisions) {
        if (decision.do !== "apply") continue;
        const { id, repeat } = decision.step;
        const ofStep = run.history.filter((event) => "step" in event && event.step === id);
        const lastStart = ofStep.findLastIndex((event) => event.type === "step-started");
        if (lastStart === -1) continue;
        const since = ofStep.slice(lastStart + 1).map((event) => event.type);
        expect(since).toContain("step-planned");
        if (repeat === "safe") continue;
        const knownToHaveFailed =
          since.includes("step-failed") &&
          !since.includes("step-probed") &&
          ofStep[lastStart + 1]?.type === "step-failed";
        const probedNotApplied = ofStep
          .slice(lastStart + 1)
          .some((event) => event.type === "step-probed" && event.answer === "not-applied");
        expect(knownToHaveFailed || probedNotApplied).toBe(true);
      }
    });
  });

  test("no run ends before everything that it may have changed for a time is noted as a mitigation", () => {
    always(({ playbook: of, history, decisions }) => {
      for (const step of of.steps) {
        if (step.kind !== "change" || step.revert === null) continue;
        const events = history.filter((event) => "step" in event && event.step === step.id).map(({ type }) => type);
        const noted = events.filter((type) => type === "mitigation-began").length;
        expect(noted).toBeLessThanOrEqual(1);
        const started = events.includes("step-started");
        if (noted === 1) expect(started).toBe(true);
        if (events.includes("step-finished")) expect(noted).toBe(1);
        if (decisions.at(-1)?.decision.do === "nothing" && events.at(-1) === "step-in-doubt") throw new Error(step.id);
      }
    });
  });

  test("applies a step a bounded number of times", () => {
    always(({ decisions }) => {
      const applied = new Map<string, number>();
      for (const { decision } of decisions) {
        if (decision.do === "apply") applied.set(decision.step.id, (applied.get(decision.step.id) ?? 0) + 1);
      }
      // Three failures or three doubts end the run; two of each may come before.
      for (const times of applied.values()) expect(times).toBeLessThanOrEqual(2 + 2 + 1);
    });
  });

  test("applies a risky plan only when people approved exactly that plan", () => {
    always(({ decisions }) => {
      for (const { decision, run } of decisions) {
        if (decision.do !== "apply") continue;
        const { id, risk, approval } = decision.step;
        if (risk !== "irreversible" && approval !== "always" && !(risk === "high" && approval === "by-risk")) continue;
        const step = progressOf(run.history).steps.get(id);
        expect(step?.approval?.state).toBe("approved");
        expect(step?.digest).toBe(step?.approval?.digest);
        expect(step?.plannedSinceApproval).toBe(true);
      }
    });
  });

  test("counts the rails freshly before every change that people did not approve", () => {
    always(({ decisions }) => {
      for (const { decision, run, now } of decisions) {
        if (decision.do !== "apply" || run.playbook.cooldownMs === null) continue;
        const step = progressOf(run.history).steps.get(decision.step.id);
        if (step?.approval?.state === "approved") continue;
        expect(now - Date.parse(step?.rails?.at ?? "1970-01-01")).toBeLessThan(10_000);
      }
    });
  });

  test("starts no change after a cancel, and says fixed only where every check held", () => {
    always(({ decisions }) => {
      for (const { decision, run } of decisions) {
        const progress = progressOf(run.history);
        if (progress.cancel) expect(decision.do).not.toBe("apply");
        if (decision.do === "end" && decision.outcome === "fixed") {
          expect(run.playbook.verify.length).toBeGreaterThan(0);
          for (const index of run.playbook.verify.keys()) expect(progress.checks.get(index)?.held).toBeGreaterThan(0);
        }
      }
    });
  });

  test("leaves no approval open when it ends, but for the run that keeps stopping its workers", () => {
    always(({ decisions }) => {
      for (const { decision, run } of decisions) {
        if (decision.do !== "end" || progressOf(run.history).takeovers > mostTakeovers) continue;
        expect(pendingApproval(run.history)).toBeNull();
      }
    });
  });

  test("makes no first change before it was announced, nor before the time that the announcement names", () => {
    always(({ decisions }) => {
      for (const { decision, run, now } of decisions) {
        if (decision.do !== "apply" || !run.announcements || run.playbook.announce === "never") continue;
        const { announcement, steps } = progressOf(run.history);
        if ([...steps.values()].some(({ state, doubts }) => state === "done" || doubts > 0)) continue;
        expect(now).toBeGreaterThanOrEqual(Date.parse(announcement?.notBefore ?? "9999-01-01"));
      }
    });
  });

  test("applies what people approved only where they were just found to be still allowed to", () => {
    always(({ decisions }) => {
      for (const { decision, run, now } of decisions) {
        if (decision.do !== "apply") continue;
        const step = progressOf(run.history).steps.get(decision.step.id);
        if (step?.approval?.state !== "approved") continue;
        expect(step.approvers?.allowed).toBe(true);
        expect(now - Date.parse(step.approvers?.at ?? "1970-01-01")).toBeLessThan(5_000);
      }
    });
  });
});
