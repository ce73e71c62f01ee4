import { doNext, newCourse, toldWith } from "../../../src/actions/postgres/course.ts";
import type { Failure, Outcome } from "../../../src/domain/action.ts";

const busy: Failure = { status: "failed", reason: "It is busy.", retryable: true };

async function course(done: readonly string[], underWay: string | null) {
  const made = newCourse();
  for (const subject of done) expect(await doNext(made, subject, async () => null)).toBeNull();
  if (underWay !== null) {
    const lost = doNext(made, underWay, () => Promise.reject(new Error("lost")));
    await expect(lost).rejects.toThrow("lost");
  }
  return made;
}

test.each<[string, readonly string[], string | null, Outcome]>([
  ["nothing was done", [], null, busy],
  [
    "some was done",
    ["a", "b"],
    null,
    { status: "failed", reason: "It is busy. Analyzed before that: a, b.", retryable: false },
  ],
  ["one is under way", [], "c", { status: "unknown", reason: "It is busy. The analysis of c was begun." }],
  [
    "some was done and one is under way",
    ["a"],
    "c",
    { status: "unknown", reason: "It is busy. The analysis of c was begun. Analyzed before that: a." },
  ],
])("a failure when %s", async (_when, done, underWay, told) => {
  expect(toldWith(await course(done, underWay), busy, "Analyzed", "analysis")).toEqual(told);
});

test("what failed is neither done nor under way", async () => {
  const made = await course(["a"], null);
  expect(await doNext(made, "b", async () => busy)).toBe(busy);
  expect(made).toEqual({ done: ["a"], underWay: null });
});

test("what is done stays as it is told", async () => {
  const done: Outcome = { status: "done", result: 1 };
  expect(toldWith(await course(["a"], null), done, "Analyzed", "analysis")).toBe(done);
});
