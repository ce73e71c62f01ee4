/** Deadlines fire, also after garbage collection, and leave nothing behind. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { deadlineOf } from "../../src/domain/deadline.ts";
import { until } from "../support/until.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("a time that is up aborts, however often garbage is collected meanwhile", async () => {
  const outer = new AbortController();
  const { signal } = deadlineOf([outer.signal], 200);
  await until(
    () => {
      collect();
      return signal.aborted;
    },
    { what: "the deadline", timeoutMs: 5_000 },
  );
  expect((signal.reason as Error).name).toBe("TimeoutError");
});

test("the first of the signals aborts it, with its reason; one that has aborted already does at once", () => {
  const [one, two] = [new AbortController(), new AbortController()];
  const deadline = deadlineOf([one.signal, two.signal], null);
  two.abort(new Error("stop"));
  one.abort(new Error("later"));
  expect(deadline.signal.reason).toEqual(new Error("stop"));
  expect(deadlineOf([two.signal], 1_000).signal.aborted).toBe(true);
});

test("what has been released does not abort any more", async () => {
  const outer = new AbortController();
  const deadline = deadlineOf([outer.signal], 20);
  deadline.release();
  outer.abort();
  const other = deadlineOf([], 60);
  await until(() => other.signal.aborted);
  expect(deadline.signal.aborted).toBe(false);
});
