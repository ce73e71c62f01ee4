import fc from "fast-check";
import type { ApprovalState } from "../../src/domain/approval.ts";
import { namesOfPeople } from "../../src/domain/approver.ts";
import { createApprovals } from "../../src/store/approvals.ts";
import { happened } from "../support/builders.ts";
import {
  claimedRun,
  claimOf,
  closeStores,
  newId,
  newStore,
  sameStore,
  type TestStore,
  write,
} from "../support/store.ts";

jest.setTimeout(120_000);

let store: TestStore;
let other: TestStore;
beforeAll(async () => {
  store = await newStore();
  other = sameStore(store.url);
});
afterAll(closeStores);

let targets = 0;

/** A run that waits for the approval of the digest `d1`. */
async function asked({ atLeast = 1, seconds = 600, requester = "api:eve" } = {}) {
  const run = await claimedRun(store, { target: `db${targets++}` }, requester);
  const approval = newId();
  const expiresAt = new Date(Date.now() + seconds * 1_000).toISOString();
  const requested = { ...happened.requested({ approval, atLeast }), expiresAt } as ReturnType<
    typeof happened.requested
  >;
  await write(store, run, [happened.planned(), requested], {
    state: "waiting",
    for: "approval",
    dueAt: Date.parse(expiresAt),
  });
  return { run, approval };
}

const answer = (
  approval: string,
  decision: "approve" | "decline" = "approve",
  { by = "ann", digest = "d1", from = store }: { by?: string; digest?: string; from?: TestStore } = {},
) => from.approvals.answer({ approval, decision, digest, by, reason: decision === "decline" ? "no" : null });

const answersOf = async (runId: string) =>
  (await store.reads.events(runId, 0)).flatMap((event) => (event.type === "approval-answered" ? [event] : []));

describe("an approval", () => {
  test("is shown as it was asked", async () => {
    const { run, approval } = await asked();
    expect(await store.approvals.ofRun(run.id)).toEqual([
      {
        id: approval,
        runId: run.id,
        playbook: "test",
        target: run.target,
        step: "change",
        digest: "d1",
        effects: ["would change"],
        reasons: ["risk-high"],
        state: "pending",
        approvers: [],
        atLeast: 1,
        requestedBy: "api:eve",
        requestedAt: expect.any(String),
        expiresAt: expect.any(String),
        decidedAt: null,
        decisions: [],
      },
    ]);
  });

  test("is answered once, is part of the history, and makes the run due", async () => {
    const { run, approval } = await asked();
    expect(await store.claims.claim(run.id)).toBeNull();
    expect(await answer(approval)).toMatchObject({
      kind: "answered",
      approval: { state: "approved", decisions: [{ decision: "approve", by: "ann", reason: null }] },
    });
    expect(await answer(approval, "decline", { by: "bob" })).toMatchObject({
      kind: "already-decided",
      approval: { state: "approved" },
    });
    expect(await answersOf(run.id)).toMatchObject([{ state: "approved", by: "ann", approval }]);
    expect((await claimOf(store, run.id)).lastSeq).toBe(4);
    expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });

  test("a decline ends it", async () => {
    const { run, approval } = await asked();
    expect(await answer(approval, "decline")).toMatchObject({
      kind: "answered",
      approval: { state: "declined", decidedAt: expect.any(String) },
    });
    expect(await answer(approval, "approve", { by: "bob" })).toMatchObject({ kind: "already-decided" });
    expect(await answersOf(run.id)).toMatchObject([{ state: "declined", reason: "no" }]);
  });

  test("is refused for another digest, after its time, to whoever asked for the run, and where there is none", async () => {
    const { run, approval } = await asked();
    expect((await answer(approval, "approve", { digest: "d2" })).kind).toBe("digest-changed");
    expect((await answer(approval, "decline", { digest: "d2" })).kind).toBe("digest-changed");
    expect((await answer(approval, "approve", { by: "api:eve" })).kind).toBe("own-request");
    expect(await answer("00000000-0000-7000-8000-000000000000")).toEqual({ kind: "not-found" });
    const late = await asked({ seconds: -1 });
    expect(await answer(late.approval)).toMatchObject({ kind: "expired", approval: { state: "pending" } });
    expect([...(await answersOf(run.id)), ...(await answersOf(late.run.id))]).toEqual([]);
  });

  test("may be declined by whoever asked for the run", async () => {
    const { approval } = await asked();
    expect(await answer(approval, "decline", { by: "api:eve" })).toMatchObject({
      kind: "answered",
      approval: { state: "declined" },
    });
  });

  test("of two people needs two different people", async () => {
    const { run, approval } = await asked({ atLeast: 2 });
    expect(await answer(approval)).toMatchObject({ kind: "answered", approval: { state: "pending", decidedAt: null } });
    expect((await answer(approval)).kind).toBe("answered-before");
    expect((await answer(approval, "approve", { by: "api:eve" })).kind).toBe("own-request");
    expect(await answer(approval, "approve", { by: "bob" })).toMatchObject({
      kind: "answered",
      approval: { state: "approved" },
    });
    expect((await answersOf(run.id)).map((event) => [event.by, event.state])).toEqual([
      ["ann", "pending"],
      ["bob", "approved"],
    ]);
  });

  test("of two people is declined by one", async () => {
    const { approval } = await asked({ atLeast: 2 });
    await answer(approval);
    expect(await answer(approval, "decline", { by: "bob" })).toMatchObject({ approval: { state: "declined" } });
  });

  test("of two people is declined by whoever approved it by mistake, while the second is waited for", async () => {
    const { run, approval } = await asked({ atLeast: 2 });
    await answer(approval);
    expect(await answer(approval, "decline")).toMatchObject({ kind: "answered", approval: { state: "declined" } });
    expect((await answer(approval, "approve", { by: "bob" })).kind).toBe("already-decided");
    expect((await answersOf(run.id)).map(({ by, decision, state }) => [by, decision, state])).toEqual([
      ["ann", "approve", "pending"],
      ["ann", "decline", "declined"],
    ]);
  });

  test("keeps its first hundred refusals, whatever was refused of another approval of the run", async () => {
    const { run, approval } = await asked();
    for (let times = 0; times < 101; times += 1) await store.approvals.refuse(approval, "eve", "has no role");
    const refused = async () =>
      (await store.reads.events(run.id, 0)).flatMap((event) => (event.type === "answer-refused" ? [event] : []));
    expect(await refused()).toHaveLength(100);
    const second = newId();
    await store.sql("UPDATE paramedic.runs SET due_at = now() WHERE id = $1", [run.id]);
    const again = happened.requested({ approval: second });
    await write(store, await claimOf(store, run.id), [happened.voided(approval), again], { state: "released" });
    await store.approvals.refuse(second, "eve", "has no role");
    expect((await refused()).at(-1)).toMatchObject({ approval: second });
  });

  test.each([1, 2])("that needs %d and is clicked by many at once gets as many decisions", async (atLeast) => {
    const { run, approval } = await asked({ atLeast });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        answer(approval, "approve", { by: `person${index % 6}`, from: index % 2 ? store : other }),
      ),
    );
    expect(answers.filter((one) => one.kind === "answered")).toHaveLength(atLeast);
    expect(await answersOf(run.id)).toHaveLength(atLeast);
  });

  test("that is approved and declined at once is one of the two", async () => {
    for (let round = 0; round < 10; round++) {
      const { run, approval } = await asked();
      const both = await Promise.all([answer(approval), answer(approval, "decline", { by: "bob", from: other })]);
      expect(both.map((one) => one.kind).sort()).toEqual(["already-decided", "answered"]);
      expect(await answersOf(run.id)).toHaveLength(1);
    }
  });

  test("are listed newest first and counted while they are open", async () => {
    const before = await store.approvals.pending();
    const [first, second] = [await asked(), await asked()];
    expect(await store.approvals.pending()).toBe(before + 2);
    await answer(first.approval, "decline");
    expect((await store.approvals.list({ state: "pending", limit: 1 })).map((one) => one.id)).toEqual([
      second.approval,
    ]);
    expect((await store.approvals.list({ state: "declined", limit: 1 })).map((one) => one.id)).toEqual([
      first.approval,
    ]);
    expect((await store.approvals.list({ state: null, limit: 2 })).map((one) => one.id)).toEqual([
      second.approval,
      first.approval,
    ]);
    expect(await store.approvals.pending()).toBe(before + 1);
  });
});

describe("the states of an approval (row 59)", () => {
  const act = fc.oneof(
    fc.record({
      do: fc.constant("answer" as const),
      decision: fc.constantFrom("approve" as const, "approve" as const, "decline" as const),
      by: fc.constantFrom("ann", "bob", "api:eve"),
      digest: fc.constantFrom("d1", "d1", "d1", "d2"),
    }),
    fc.record({ do: fc.constantFrom("let-pass" as const, "expire" as const, "void" as const, "end" as const) }),
  );

  test("whatever is done to it and in which order, it is decided at most once, by the rules, and the history says the same", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 }), fc.array(act, { maxLength: 7 }), async (atLeast, acts) => {
        const { run, approval } = await asked({ atLeast });
        const row = async () => (await store.approvals.ofRun(run.id))[0];
        const model = { state: "pending" as ApprovalState, by: [] as string[], past: false, over: false };
        /** What its worker writes; it has to claim the run first, as it does when the run is due. */
        const asWorker = async (
          ...[happenings, standing]: [Parameters<typeof write>[2], Parameters<typeof write>[3]?]
        ) => {
          await store.sql("UPDATE paramedic.runs SET due_at = now() WHERE id = $1", [run.id]);
          await write(store, await claimOf(store, run.id), happenings, standing ?? { state: "released" });
        };
        for (const one of acts) {
          if (one.do === "answer") {
            const { kind } = await answer(approval, one.decision, one);
            const counts =
              model.state === "pending" &&
              !model.past &&
              one.digest === "d1" &&
              (one.decision === "decline" || (one.by !== "api:eve" && !model.by.includes(one.by)));
            expect(kind === "answered").toBe(counts);
            if (!counts) continue;
            model.by.push(one.by);
            if (one.decision === "decline") model.state = "declined";
            else if (model.by.length >= atLeast) model.state = "approved";
          } else if (one.do === "let-pass") {
            await store.sql("UPDATE paramedic.approvals SET expires_at = now() - interval '1 s' WHERE id = $1", [
              approval,
            ]);
            model.past = true;
          } else if (one.do === "end") {
            if (model.over) continue;
            await asWorker([happened.ended("failed")], { state: "ended", outcome: "failed" });
            model.over = true;
            if (model.state === "pending") model.state = "voided";
          } else if (!model.over && model.state === "pending") {
            await asWorker([one.do === "expire" ? happened.expired(approval) : happened.voided(approval)]);
            model.state = one.do === "expire" ? "expired" : "voided";
          }
          expect((await row())?.state).toBe(model.state);
        }
        expect((await answersOf(run.id)).map((event) => event.by)).toEqual(model.by);
        expect((await answersOf(run.id)).filter((event) => event.state !== "pending").length).toBeLessThanOrEqual(1);
        expect((await row())?.decisions.map((decision) => decision.by)).toEqual(model.by);
        expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
      }),
      { numRuns: 60 },
    );
  });
});

describe("one person with a token of their own", () => {
  const tokens = [
    { name: "ann-cli", slack: "U0ANN" },
    { name: "ann-laptop", slack: "U0ANN" },
    { name: "shared", slack: null },
  ];
  const answers = (approval: string, by: string, decision: "approve" | "decline" = "approve") =>
    createApprovals(store.database, namesOfPeople(tokens)).answer({
      approval,
      decision,
      digest: "d1",
      by,
      reason: decision === "decline" ? "no" : null,
    });

  test.each([
    ["slack:U0ANN", "api:ann-cli"],
    ["api:ann-cli", "slack:U0ANN"],
    ["api:ann-cli", "api:ann-laptop"],
  ])("who answered as %s is not a second one as %s, and the history says by which door", async (first, second) => {
    const { run, approval } = await asked({ atLeast: 2 });
    expect((await answers(approval, first)).kind).toBe("answered");
    expect((await answers(approval, second)).kind).toBe("answered-before");
    expect(await answers(approval, "slack:U0BOB")).toMatchObject({ kind: "answered", approval: { state: "approved" } });
    expect((await answersOf(run.id)).map(({ by }) => by)).toEqual([first, "slack:U0BOB"]);
  });

  test.each([
    ["slack:U0ANN", "api:ann-cli"],
    ["api:ann-cli", "slack:U0ANN"],
    ["api:ann-laptop", "api:ann-cli"],
  ])("who asked as %s does not approve as %s, and may decline", async (requester, by) => {
    const { approval } = await asked({ requester });
    expect((await answers(approval, by)).kind).toBe("own-request");
    expect(await answers(approval, by, "decline")).toMatchObject({ kind: "answered", approval: { state: "declined" } });
  });

  test("a token that names nobody is a person of its own", async () => {
    const { approval } = await asked({ atLeast: 2 });
    expect((await answers(approval, "slack:U0ANN")).kind).toBe("answered");
    expect(await answers(approval, "api:shared")).toMatchObject({ approval: { state: "approved" } });
  });
});
