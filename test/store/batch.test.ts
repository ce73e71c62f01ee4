import { batched } from "../../src/store/batch.ts";

/** A set-based function whose calls are noted and end when they are let go. */
function recorder(answer: (items: readonly number[]) => readonly number[] = (items) => items.map((item) => item * 10)) {
  const calls: (readonly number[])[] = [];
  const gates: (() => void)[] = [];
  const run = async (items: readonly number[]): Promise<readonly number[]> => {
    calls.push(items);
    await new Promise<void>((resolve) => {
      gates.push(resolve);
    });
    return answer(items);
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const letGo = async () => {
    for (const open of gates.splice(0)) open();
    await turn();
    // The next statement is put together at the end of a turn.
    await turn();
  };
  return { calls, run, letGo, turn };
}

const databaseError = (code: string) => Object.assign(new Error(`failed with ${code}`), { code });

describe("batched", () => {
  test("a lone call is made at once and alone", async () => {
    const { calls, run, letGo, turn } = recorder();
    const call = batched(run, { lanes: 1, most: 10 })(1);
    await turn();
    expect(calls).toEqual([[1]]);
    await letGo();
    expect(await call).toBe(10);
  });

  test("calls of the same turn share a statement, and each gets its own answer", async () => {
    const { calls, run, letGo, turn } = recorder();
    const one = batched(run, { lanes: 2, most: 10 });
    const all = Promise.all([one(1), one(2), one(3)]);
    await turn();
    await letGo();
    expect(await all).toEqual([10, 20, 30]);
    expect(calls).toEqual([[1, 2, 3]]);
  });

  test("calls that come while every lane is busy share the next statement", async () => {
    const { calls, run, letGo, turn } = recorder();
    const one = batched(run, { lanes: 1, most: 10 });
    const first = one(1);
    await turn();
    const rest = Promise.all([one(2), one(3)]);
    await turn();
    expect(calls).toEqual([[1]]);
    await letGo();
    await letGo();
    expect([await first, ...(await rest)]).toEqual([10, 20, 30]);
    expect(calls).toEqual([[1], [2, 3]]);
  });

  test("no more statements are under way than there are lanes, and no statement has more items than allowed", async () => {
    const { calls, run, letGo, turn } = recorder();
    const one = batched(run, { lanes: 2, most: 2 });
    const all = Promise.all([1, 2, 3, 4, 5, 6, 7].map(one));
    await turn();
    expect(calls.length).toBeLessThanOrEqual(2);
    for (let i = 0; i < 8; i++) await letGo();
    expect(await all).toEqual([10, 20, 30, 40, 50, 60, 70]);
    for (const items of calls) expect(items.length).toBeLessThanOrEqual(2);
  });

  test.each(["22P05", "57014"])("an item that is refused with %s costs only itself", async (code) => {
    const calls: (readonly number[])[] = [];
    const one = batched(
      async (items: readonly number[]) => {
        calls.push(items);
        if (items.includes(2)) throw databaseError(code);
        return items;
      },
      { lanes: 1, most: 10 },
    );
    const settled = await Promise.allSettled([one(1), one(2), one(3)]);
    expect(settled.map((answer) => answer.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(calls).toEqual([[1, 2, 3], [1], [2], [3]]);
  });

  test.each([new RangeError("Invalid time value"), new TypeError("x is not a function")])(
    "an item that cannot even be written down costs only itself (%s)",
    async (bug) => {
      const one = batched(
        async (items: readonly number[]) => {
          if (items.includes(2)) throw bug;
          return items;
        },
        { lanes: 1, most: 10 },
      );
      const settled = await Promise.allSettled([one(1), one(2), one(3)]);
      expect(settled.map((answer) => answer.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    },
  );

  test.each([
    databaseError("08006"),
    databaseError("53300"),
    databaseError("57P01"),
    databaseError("ECONNREFUSED"),
    databaseError("EPIPE"),
    new Error("Connection terminated unexpectedly"),
    new Error("Query read timeout"),
  ])("when the database is away, nothing is tried again (%s)", async (loss) => {
    let calls = 0;
    const one = batched(
      async () => {
        calls += 1;
        throw loss;
      },
      { lanes: 1, most: 10 },
    );
    const settled = await Promise.allSettled([one(1), one(2), one(3)]);
    expect(settled.map((answer) => answer.status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(calls).toBe(1);
  });

  test("goes on after a failure", async () => {
    let fail = true;
    const one = batched(
      async (items: readonly number[]) => {
        if (fail) throw databaseError("08006");
        return items;
      },
      { lanes: 1, most: 10 },
    );
    await expect(one(1)).rejects.toThrow("08006");
    fail = false;
    expect(await one(2)).toBe(2);
  });

  test("an answer that forgets an item is an error and no wrong answer", async () => {
    const one = batched(async () => [1], { lanes: 1, most: 10 });
    const settled = await Promise.allSettled([one(1), one(2)]);
    expect(settled.map((answer) => answer.status)).toEqual(["rejected", "rejected"]);
  });
});
