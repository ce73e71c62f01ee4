import fc from "fast-check";
import type { IncomingAlert, Received } from "../../src/store/incoming.ts";
import { closeStores, incoming, newRun, newStore, sameStore, type TestStore } from "../support/store.ts";

jest.setTimeout(120_000);

let one: TestStore;
let other: TestStore;
beforeAll(async () => {
  one = await newStore();
  other = sameStore(one.url);
});
afterAll(closeStores);

const second = (seconds: number) =>
  new Date(Date.parse("2026-01-05T10:00:00Z") + seconds * 1_000).toISOString().replace("Z", "000Z");
let databases = 0;

/** What some receivers heard at the same time, in which order each: alert, start and whether it is over. */
const bursts = fc.array(
  fc.array(
    fc.record({
      receiver: fc.nat({ max: 1 }),
      alerts: fc.uniqueArray(
        fc.record({
          print: fc.nat({ max: 3 }),
          // The episodes of one alert begin 10 minutes apart; the members of the pair see each up to 50 s apart.
          episode: fc.nat({ max: 2 }),
          skew: fc.nat({ max: 50 }),
          resolved: fc.boolean(),
        }),
        { selector: (told) => told.print, minLength: 1, maxLength: 4 },
      ),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  { minLength: 1, maxLength: 4 },
);

describe("two receivers of one store", () => {
  test("never have two open episodes of an alert, or two runs of an episode, whatever they hear at once; and answer all of it", async () => {
    await fc.assert(
      fc.asyncProperty(bursts, async (heard) => {
        databases += 1;
        const source = `am${databases}`;
        for (const burst of heard) {
          const answers = await Promise.all(
            burst.map(({ receiver, alerts }): Promise<readonly Received[]> => {
              const told = alerts.map(({ print, episode, skew, resolved }): IncomingAlert => {
                const startsAt = second(episode * 600 + skew);
                const over = { fingerprint: `print${print}`, startsAt };
                if (!resolved)
                  return incoming(over, { source, runs: [newRun({ playbook: "a" }), newRun({ playbook: "b" })] });
                return incoming({ ...over, status: "resolved", endsAt: second(episode * 600 + 300) }, { source });
              });
              return (receiver === 0 ? one : other).receive(told);
            }),
          );
          for (const [index, { alerts }] of burst.entries()) expect(answers[index]).toHaveLength(alerts.length);
        }
        const open = await one.sql(
          "SELECT fingerprint FROM paramedic.episodes WHERE source = $1 AND status = 'firing' GROUP BY 1 HAVING count(*) > 1",
          [source],
        );
        expect(open).toEqual([]);
        // Starts less than a minute apart are one episode, so no two rows of it may have runs.
        const twice = await one.sql(
          `SELECT a.starts_at, b.starts_at FROM paramedic.episodes a JOIN paramedic.episodes b USING (source, fingerprint)
           WHERE a.source = $1 AND a.starts_at < b.starts_at AND b.starts_at - a.starts_at < interval '60 s'
             AND EXISTS (SELECT FROM paramedic.runs WHERE episode_id = a.id) AND EXISTS (SELECT FROM paramedic.runs WHERE episode_id = b.id)`,
          [source],
        );
        expect(twice).toEqual([]);
        const runs = await one.sql(
          `SELECT r.episode_id, count(*)::int AS count FROM paramedic.runs r JOIN paramedic.episodes e ON e.id = r.episode_id
           WHERE e.source = $1 GROUP BY 1 HAVING count(*) <> 2`,
          [source],
        );
        expect(runs).toEqual([]);
        const untold = await one.sql(
          `SELECT r.id FROM paramedic.runs r JOIN paramedic.episodes e ON e.id = r.episode_id
           WHERE e.source = $1 AND e.status = 'resolved' AND NOT EXISTS (
             SELECT FROM paramedic.run_events v WHERE v.run_id = r.id AND v.event->>'type' = 'alert-resolved')`,
          [source],
        );
        expect(untold).toEqual([]);
      }),
      // Races do not repeat: a smaller example would not be found.
      { numRuns: 40, endOnFailure: true },
    );
  });

  test("answer a firing repeat that meets its own resolve", async () => {
    for (let round = 0; round < 40; round++) {
      const fingerprint = `meet${round}`;
      await one.receive([incoming({ fingerprint })]);
      await Promise.all([
        one.receive([incoming({ fingerprint, status: "resolved", endsAt: second(300) })]),
        ...Array.from({ length: 4 }, () => other.receive([incoming({ fingerprint })])),
        one.receive([incoming({ fingerprint })]),
      ]);
    }
    expect(
      await one.sql("SELECT FROM paramedic.episodes WHERE fingerprint LIKE 'meet%' AND status = 'firing'"),
    ).toEqual([]);
  });

  test("answer notifications that close what the other opens", async () => {
    for (let round = 0; round < 25; round++) {
      const [a, b] = [`a${round}`, `b${round}`];
      await one.receive([incoming({ fingerprint: a }), incoming({ fingerprint: b })]);
      await Promise.all([
        one.receive([
          incoming({ fingerprint: a }),
          incoming({ fingerprint: b, status: "resolved", endsAt: second(9) }),
        ]),
        other.receive([
          incoming({ fingerprint: b }),
          incoming({ fingerprint: a, status: "resolved", endsAt: second(9) }),
        ]),
      ]);
    }
  });

  test("open one episode when both hear a new start a moment apart", async () => {
    for (let round = 0; round < 25; round++) {
      const fingerprint = `again${round}`;
      await one.receive([incoming({ fingerprint })]);
      await Promise.all([
        one.receive([incoming({ fingerprint, startsAt: second(1_000) })]),
        other.receive([incoming({ fingerprint, startsAt: second(1_020) })]),
        other.receive([incoming({ fingerprint, startsAt: second(1_040) })]),
      ]);
    }
    const episodes = await one.sql(
      "SELECT fingerprint, count(*)::int AS count FROM paramedic.episodes WHERE fingerprint LIKE 'again%' GROUP BY 1 HAVING count(*) <> 2",
    );
    expect(episodes).toEqual([]);
  });
});
