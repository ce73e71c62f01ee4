/** The heartbeat over the real turns of the store and a server that keeps what it hears. */

import type { Rounds } from "../../src/domain/rounds.ts";
import { type HeartbeatOptions, startHeartbeat, type Vitals, whyUnwell } from "../../src/oncall/heartbeat.ts";
import { createHeartbeatTurns } from "../../src/store/heartbeat.ts";
import { type HeartbeatDouble, type HeartbeatFailure, startHeartbeatDouble } from "../support/heartbeat-double.ts";
import { closeStores, newStore, sameStore, type TestStore } from "../support/store.ts";
import { until } from "../support/until.ts";

const well: Vitals = { oldestDueSeconds: 0, dead: 0, failing: 0, oldestMessageSeconds: 0 };

test.each<[string, Partial<Vitals>, string | null]>([
  ["nothing is wrong", {}, null],
  ["a run is due, and not for long", { oldestDueSeconds: 239 }, null],
  ["a run is due for too long", { oldestDueSeconds: 241 }, "runs are due"],
  ["what reached nobody was given up", { dead: 1 }, "given up"],
  ["what reached nobody fails", { failing: 1 }, "cannot be delivered"],
  ["a message waits in a flood", { oldestMessageSeconds: 119 }, null],
  ["nobody delivers what is due", { oldestMessageSeconds: 121 }, "not delivered"],
])("%s", (_case, vitals, expected) => {
  const why = whyUnwell({ ...well, ...vitals }, 240_000);
  if (expected === null) expect(why).toBeNull();
  else expect(why).toContain(expected);
});

describe("started", () => {
  let store: TestStore;
  let outside: HeartbeatDouble;
  let vitals: Vitals | Error;
  let lines: string[];
  const beating: Pick<Rounds, "stop">[] = [];

  beforeEach(async () => {
    store = await newStore();
    outside = await startHeartbeatDouble();
    vitals = well;
    lines = [];
  });

  afterEach(async () => {
    await Promise.all(beating.splice(0).map((one) => one.stop()));
    await outside.stop();
    await closeStores();
  });

  function start(options: Partial<HeartbeatOptions> = {}): Pick<Rounds, "stop"> {
    const write = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const one = startHeartbeat({
      url: outside.url,
      everyMs: 100,
      timeoutMs: 300,
      stuckAfterMs: 240_000,
      turns: createHeartbeatTurns(sameStore(store.url).database),
      vitals: async () => {
        if (vitals instanceof Error) throw vitals;
        return vitals;
      },
      log: { info: write, warn: write },
      ...options,
    });
    beating.push(one);
    return one;
  }

  const said = (part: string) =>
    until(() => lines.some((line) => line.includes(part)), { what: () => lines.join("\n") });

  test("it is sent while all is well, by GET, and said once", async () => {
    start();
    await until(() => outside.heard() >= 3, { what: "three of them" });
    expect(new Set(outside.calls)).toEqual(new Set([`GET ${new URL(outside.url).pathname}`]));
    expect(lines).toEqual(["the heartbeat is heard outside {}"]);
  });

  test("it is withheld while something is wrong, which is said once, and sent when it is mended", async () => {
    vitals = { ...well, failing: 2 };
    start();
    await said("is withheld");
    await until(
      async () => (await store.sql("SELECT FROM paramedic.heartbeat WHERE sent_at IS NOT NULL")).length === 0,
    );
    vitals = { ...well, dead: 1 };
    await said("was given up");
    vitals = new Error("no store");
    await said("the store cannot be used");
    expect(outside.calls).toEqual([]);
    vitals = well;
    await until(() => outside.heard() >= 1, { what: "it to be sent" });
    expect(lines.filter((line) => line.includes("withheld"))).toHaveLength(3);
  });

  test("of two workers one sends each of them; the other one goes on when that one stops", async () => {
    let looked = 0;
    const turnsOf = (view: TestStore) => {
      const turns = createHeartbeatTurns(view.database);
      return {
        ...turns,
        take: (forMs: number) => {
          looked += 1;
          return turns.take(forMs);
        },
      };
    };
    const first = start({ everyMs: 60_000, againMs: 50, turns: turnsOf(sameStore(store.url)) });
    start({ everyMs: 60_000, againMs: 50, turns: turnsOf(sameStore(store.url)) });
    await until(() => outside.heard() === 1, { what: "the first one" });
    await until(() => looked >= 10, { what: "both to look again" });
    expect(outside.calls).toHaveLength(1);
    await first.stop();
    await createHeartbeatTurns(store.database).again(0);
    await until(() => outside.heard() === 2, { what: "the other worker to send" });
  });

  test.each<[string, HeartbeatFailure, RegExp]>([
    ["that hangs", "hang", /did not answer within 300 ms/],
    ["that ends the connection", "reset", /cannot be reached: ECONNRESET/],
    ["that redirects", "redirect", /HTTP status 302/],
    ["that knows no such check", 404, /HTTP status 404/],
    ["that is broken", 503, /HTTP status 503/],
  ])(
    "a service %s has not heard it; it is tried again, and its address is told nobody",
    async (_case, failure, reason) => {
      outside.fail(failure);
      start();
      await said("was not heard");
      await until(() => outside.calls.length >= 2, { what: "another attempt" });
      expect(lines).toEqual([expect.stringMatching(reason)]);
      expect(lines.join()).not.toContain("canary");
      expect(new Set(outside.calls).size).toBe(1);
      outside.fail(null);
      await until(() => outside.heard() >= 1, { what: "it to be heard" });
      await said("is heard outside");
    },
  );

  test("stopping ends a call under way, and another worker has the turn at once", async () => {
    outside.fail("hang");
    const one = start({ timeoutMs: 60_000 });
    await until(() => outside.calls.length === 1, { what: "the call" });
    await one.stop();
    expect(await createHeartbeatTurns(store.database).take(1_000)).toBe(true);
    expect(lines).toEqual([]);
  });
});
