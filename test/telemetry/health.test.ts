import { createReadiness, type OutboxTroubles } from "../../src/telemetry/health.ts";

const fine = async () => {};
const broken = () => Promise.reject(new Error("down"));
const throwing = () => {
  throw new Error("no pool");
};
const hanging = () => new Promise<never>(() => {});
const outbox = async (): Promise<OutboxTroubles> => ({ dead: 0, failing: 0 });

test.each([
  ["both work", fine, fine, true, "ok", "ok"],
  ["the queue is down", fine, broken, true, "ok", "degraded"],
  ["the queue hangs", fine, hanging, true, "ok", "degraded"],
  ["the store is down", broken, fine, false, "unusable", "ok"],
  ["the store throws", throwing, fine, false, "unusable", "ok"],
  ["the store hangs", hanging, fine, false, "unusable", "ok"],
  ["both are down", broken, broken, false, "unusable", "degraded"],
])("when %s, only the store decides about ready", async (_case, store, queue, ready, storeSays, queueSays) => {
  const readiness = createReadiness({ store, queue, outbox }, 30);
  expect(await readiness()).toEqual({ ready, body: { store: storeSays, queue: queueSays, outbox: "ok" } });
});

test.each<[string, () => Promise<OutboxTroubles>, string]>([
  ["everybody could be told", outbox, "ok"],
  ["somebody could not be told yet", async () => ({ dead: 0, failing: 2 }), "failing"],
  ["somebody will never be told", async () => ({ dead: 1, failing: 2 }), "dead-letters"],
  ["the outbox cannot be read", broken, "unknown"],
  ["reading the outbox hangs", hanging, "unknown"],
])("when %s, readiness says so and stays what it is", async (_case, troubles, says) => {
  const { ready, body } = await createReadiness({ store: fine, queue: fine, outbox: troubles }, 30)();
  expect({ ready, outbox: body.outbox }).toEqual({ ready: true, outbox: says });
});

test("a probe is told when its time is up", async () => {
  let aborted = false;
  const store = (signal: AbortSignal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    });
  await createReadiness({ store, queue: fine, outbox }, 30)();
  expect(aborted).toBe(true);
});

test("callers at the same time share one look, later ones get a new one", async () => {
  let looks = 0;
  const store = async () => {
    looks += 1;
    if (looks > 1) throw new Error("down");
  };
  const readiness = createReadiness({ store, queue: fine, outbox });
  const [first, second] = await Promise.all([readiness(), readiness()]);
  expect([first?.ready, second?.ready, looks]).toEqual([true, true, 1]);
  expect((await readiness()).ready).toBe(false);
});
