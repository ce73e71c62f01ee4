import type { Happening } from "../../src/domain/event.ts";
import { progressOf } from "../../src/domain/progress.ts";
import { isSettled, type StepState, untouched } from "../../src/domain/step-progress.ts";
import { happened, historyOf, timeAt } from "../support/builders.ts";

const {
  approved,
  approvedInPart,
  cancelled,
  checked,
  declined,
  ended,
  expired,
  failed,
  finished,
  inDoubt,
  observed,
  planned,
  probed,
  railsChecked,
  requested,
  resolved,
  skipped,
  started,
  takenOver,
  voided,
} = happened;

const stepAfter = (...past: readonly (number | Happening)[]) => progressOf(historyOf(...past)).steps.get("change");

describe("progressOf", () => {
  test.each<[StepState, readonly Happening[]]>([
    ["skipped", [skipped()]],
    ["observed", [observed("change")]],
    ["planned", [planned()]],
    ["planned", [planned(), railsChecked([1])]],
    ["nothing-to-do", [planned("d", [])]],
    ["waiting-for-approval", [planned(), requested()]],
    ["waiting-for-approval", [planned(), requested({ atLeast: 2 }), approvedInPart()]],
    ["declined", [planned(), requested(), declined()]],
    ["expired", [planned(), requested(), expired()]],
    ["approved", [planned(), requested(), approved()]],
    ["approved", [planned(), requested(), approved(), planned("d2")]],
    ["planned", [planned(), requested(), approved(), planned("d2"), voided()]],
    ["started", [planned(), started()]],
    ["done", [planned(), started(), finished()]],
    ["failed", [failed("plan")]],
    ["failed", [planned(), started(), failed("apply")]],
    ["in-doubt", [planned(), started(), inDoubt()]],
    ["in-doubt", [planned(), started(), takenOver()]],
    ["in-doubt", [planned(), started(), inDoubt(), failed("probe")]],
    ["in-doubt", [planned(), started(), inDoubt(), probed("unknown")]],
    ["done", [planned(), started(), inDoubt(), probed("applied")]],
    ["planned", [planned(), started(), inDoubt(), probed("not-applied"), planned()]],
  ])("a step is %s after what happened (row %#)", (state, past) => {
    expect(stepAfter(...past)?.state).toBe(state);
  });

  test("knows nothing of steps of which nothing happened", () => {
    expect(progressOf(historyOf()).steps.size).toBe(0);
    expect(progressOf([]).settledAt).toBe("");
    expect(isSettled(untouched)).toBe(false);
  });

  test("keeps what an observation returned and what an apply reported", () => {
    expect(stepAfter(observed("change"))?.result).toEqual({ well: true });
    expect(stepAfter(planned(), started(), finished())?.result).toEqual({ changed: 1 });
  });

  test("a take-over leaves no doubt where nothing was started", () => {
    expect(stepAfter(planned(), takenOver())).toMatchObject({ state: "planned", doubts: 0 });
  });

  test("counts every doubt", () => {
    expect(stepAfter(planned(), started(), takenOver(), planned(), started(), inDoubt())?.doubts).toBe(2);
    expect(stepAfter(planned(), started(), takenOver(), takenOver())?.doubts).toBe(1);
  });

  test("a plan ends the failure but not the count of failures", () => {
    expect(stepAfter(failed("plan"), failed("plan"), planned())).toMatchObject({ failures: 2, failure: null });
    expect(stepAfter(planned(), started(), 3, failed("apply"))).toMatchObject({
      failures: 1,
      failure: { reason: "it did not work", retryable: true, at: timeAt(3) },
    });
    expect(stepAfter(failed("plan"), planned(), started(), finished())).toMatchObject({ failures: 0, failure: null });
  });

  test("an answer to another approval is not taken for this one's", () => {
    for (const stray of [approved({ approval: "a0" }), declined({ approval: "a0" }), expired("a0")]) {
      expect(stepAfter(planned(), requested(), stray)?.approval?.state).toBe("pending");
    }
  });

  test("collects who approved", () => {
    const step = stepAfter(
      planned(),
      requested({ atLeast: 2 }),
      approvedInPart({ by: "ann" }),
      approved({ by: "bob" }),
    );
    expect(step?.approval).toMatchObject({ state: "approved", by: ["ann", "bob"] });
    expect(step?.plannedSinceApproval).toBe(false);
  });

  test("a new request forgets the approval before it", () => {
    const step = stepAfter(
      planned(),
      requested(),
      approved(),
      planned("d2"),
      voided(),
      requested({ approval: "a2", digest: "d2" }),
    );
    expect(step?.approval).toMatchObject({ id: "a2", state: "pending", by: [] });
    expect(step?.plannedSinceApproval).toBe(false);
  });

  test("a start forgets the probe before it", () => {
    expect(
      stepAfter(planned(), started(), inDoubt(), probed("not-applied"), planned(), started(), inDoubt())?.probe,
    ).toBeNull();
  });

  test("the time of the last settled step is kept, whatever happens to it later", () => {
    expect(progressOf(historyOf(3, observed("look"), 5, planned())).settledAt).toBe(timeAt(3));
    expect(
      progressOf(historyOf(3, observed("look"), 5, planned(), 7, started(), 9, finished(), 11, checked(false)))
        .settledAt,
    ).toBe(timeAt(9));
    expect(progressOf(historyOf(5, planned())).settledAt).toBe(timeAt(0));
  });

  test("take-overs are counted until a step is settled", () => {
    expect(progressOf(historyOf(takenOver(), takenOver())).takeovers).toBe(2);
    expect(progressOf(historyOf(takenOver(), takenOver(), observed("look"))).takeovers).toBe(0);
    expect(progressOf(historyOf(takenOver(), takenOver(), planned())).takeovers).toBe(2);
  });

  test("keeps the latest answer of each check, the first cancel, the resolve and the end", () => {
    const progress = progressOf(
      historyOf(
        checked(false),
        5,
        checked(true),
        checked(false, 1),
        resolved(),
        cancelled(),
        { type: "cancel-requested", by: "bob", reason: "me too" },
        ended("cancelled"),
      ),
    );
    expect(progress.checks.get(0)).toEqual({ passed: true, at: timeAt(5), reason: null, held: 0, hasHeld: true });
    expect(progress.checks.get(1)?.passed).toBe(false);
    expect(progress.resolvedAt).toBe(timeAt(5));
    expect(progress.cancel?.by).toBe("ann");
    expect(progress.ended?.outcome).toBe("cancelled");
  });

  test("a step may be called like a property that every object has", () => {
    expect(progressOf(historyOf(planned("d", ["x"], "__proto__"))).steps.get("__proto__")?.state).toBe("planned");
    expect(progressOf(historyOf()).steps.get("constructor")).toBeUndefined();
  });
});
