import { randomUUID } from "node:crypto";
import type { IncomingAlert } from "../../src/store/incoming.ts";
import { happened } from "../support/builders.ts";
import {
  appendOf,
  claimOf,
  closeStores,
  incoming,
  newRun,
  newStore,
  sameStore,
  type TestStore,
  write,
} from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

const fingerprint = () => randomUUID().replaceAll("-", "").slice(0, 16);
const minute = (minutes: number) => `2026-01-05T10:${String(minutes).padStart(2, "0")}:00.000000Z`;

async function episodesOf(print: string): Promise<Record<string, unknown>[]> {
  return store.sql(
    "SELECT status, starts_at, ends_at, notifications FROM paramedic.episodes WHERE fingerprint = $1 ORDER BY starts_at",
    [print],
  );
}

async function runsOf(print: string): Promise<Record<string, unknown>[]> {
  return store.sql(
    "SELECT r.id, r.state, r.due_at <= now() AS due FROM paramedic.runs r JOIN paramedic.episodes e ON e.id = r.episode_id WHERE e.fingerprint = $1 ORDER BY r.id",
    [print],
  );
}

async function receiveOne(alert: IncomingAlert) {
  return (await store.receive([alert]))[0];
}

describe("receive", () => {
  test("a firing alert opens an episode and starts its runs", async () => {
    const print = fingerprint();
    const runs = [newRun({ playbook: "one" }), newRun({ playbook: "two", target: null })];
    const alert = incoming({ fingerprint: print }, { runs });
    expect(await receiveOne(alert)).toEqual({
      kind: "firing",
      episodeId: alert.episodeId,
      runs: expect.arrayContaining([
        { id: runs[0]?.id, playbook: "one", target: "db", created: true },
        { id: runs[1]?.id, playbook: "two", target: null, created: true },
      ]),
    });
    expect(await store.reads.events(runs[0]?.id ?? "", 0)).toEqual([
      expect.objectContaining({ seq: 1, type: "created", playbook: "one", target: "db" }),
    ]);
    expect(await store.reads.firstBrokenEvent(runs[0]?.id ?? "")).toBeNull();
  });

  test("a repeat changes when it was last seen and how often, and starts nothing (row 5)", async () => {
    const print = fingerprint();
    const first = await receiveOne(incoming({ fingerprint: print }));
    await store.sql(
      "UPDATE paramedic.episodes SET last_seen = now() - interval '1 hour', first_seen = now() - interval '1 hour' WHERE fingerprint = $1",
      [print],
    );
    const again = await receiveOne(incoming({ fingerprint: print, annotations: { summary: "worse" } }));
    if (first?.kind !== "firing" || again?.kind !== "firing") throw new Error("both are firing");
    expect(again.episodeId).toBe(first.episodeId);
    expect(again.runs).toEqual([{ ...first.runs[0], created: false }]);
    const [episode] = await store.sql(
      "SELECT last_seen > now() - interval '1 minute' AS seen, first_seen < now() - interval '59 minutes' AS old, notifications, annotations FROM paramedic.episodes WHERE fingerprint = $1",
      [print],
    );
    expect(episode).toEqual({ seen: true, old: true, notifications: 2, annotations: { summary: "worse" } });
    expect(await runsOf(print)).toHaveLength(1);
  });

  test("a repeat starts the run of a playbook that was added meanwhile", async () => {
    const print = fingerprint();
    await receiveOne(incoming({ fingerprint: print }, { runs: [newRun({ playbook: "one" })] }));
    const again = await receiveOne(
      incoming({ fingerprint: print }, { runs: [newRun({ playbook: "one" }), newRun({ playbook: "two" })] }),
    );
    expect(again?.kind === "firing" && again.runs.map((run) => [run.playbook, run.created]).sort()).toEqual([
      ["one", false],
      ["two", true],
    ]);
  });

  test("two Alertmanagers of a pair that saw it start a moment apart tell of one episode (rows 2 and 3)", async () => {
    const print = fingerprint();
    await receiveOne(incoming({ fingerprint: print, startsAt: "2026-01-05T10:00:00.000000Z" }));
    await receiveOne(incoming({ fingerprint: print, startsAt: "2026-01-05T10:00:59.000000Z" }));
    await receiveOne(incoming({ fingerprint: print, startsAt: "2026-01-05T09:59:01.000000Z" }));
    expect(await episodesOf(print)).toHaveLength(1);
    expect(await runsOf(print)).toHaveLength(1);
  });

  test("the same alert of another source is another episode", async () => {
    const print = fingerprint();
    await receiveOne(incoming({ fingerprint: print }, { source: "north" }));
    await receiveOne(incoming({ fingerprint: print }, { source: "south" }));
    expect(await episodesOf(print)).toHaveLength(2);
  });

  test("a resolve closes the episode and tells its waiting run at once", async () => {
    const print = fingerprint();
    const first = await receiveOne(incoming({ fingerprint: print }));
    const id = first?.kind === "firing" ? (first.runs[0]?.id ?? "") : "";
    const claimed = await claimOf(store, id);
    await write(store, claimed, [], { state: "waiting", for: "verification", dueAt: Date.now() + 600_000 });
    expect((await runsOf(print))[0]?.["due"]).toBe(false);
    expect(await receiveOne(incoming({ fingerprint: print, status: "resolved", endsAt: minute(5) }))).toEqual({
      kind: "ignored",
      reason: "resolved",
    });
    expect(await episodesOf(print)).toMatchObject([
      { status: "resolved", ends_at: new Date(minute(5)), notifications: 2 },
    ]);
    expect((await runsOf(print))[0]?.["due"]).toBe(true);
    expect((await store.reads.events(id, 1)).map((event) => event.type)).toEqual(["alert-resolved"]);
    expect(await store.reads.firstBrokenEvent(id)).toBeNull();
  });

  test("a resolve that comes while the worker writes makes the worker look again", async () => {
    const print = fingerprint();
    const first = await receiveOne(incoming({ fingerprint: print }));
    const claimed = await claimOf(store, first?.kind === "firing" ? (first.runs[0]?.id ?? "") : "");
    await receiveOne(incoming({ fingerprint: print, status: "resolved", endsAt: minute(5) }));
    expect(await store.append(appendOf(claimed, [happened.planned()]))).toEqual({ kind: "moved" });
  });

  test("a second resolve tells the run nothing new, and a run that has ended is not told", async () => {
    const print = fingerprint();
    const first = await receiveOne(incoming({ fingerprint: print }));
    const claimed = await claimOf(store, first?.kind === "firing" ? (first.runs[0]?.id ?? "") : "");
    await write(store, claimed, [happened.ended()], { state: "ended", outcome: "fixed" });
    for (let i = 0; i < 2; i++)
      await receiveOne(incoming({ fingerprint: print, status: "resolved", endsAt: minute(5) }));
    expect((await store.reads.events(claimed.id, 0)).map((event) => event.type)).toEqual(["created", "ended"]);
    expect(await episodesOf(print)).toHaveLength(1);
  });

  test("the resolve of the other Alertmanager, which saw it start a moment later, is no episode of its own", async () => {
    const print = fingerprint();
    await receiveOne(incoming({ fingerprint: print, startsAt: "2026-01-05T10:00:00.000000Z" }));
    await receiveOne(
      incoming({ fingerprint: print, status: "resolved", startsAt: "2026-01-05T10:00:00.000000Z", endsAt: minute(5) }),
    );
    await receiveOne(
      incoming({ fingerprint: print, status: "resolved", startsAt: "2026-01-05T10:00:20.000000Z", endsAt: minute(5) }),
    );
    expect(await episodesOf(print)).toHaveLength(1);
  });

  test("a resolve that is older than the open episode does not close it", async () => {
    const print = fingerprint();
    await receiveOne(incoming({ fingerprint: print, startsAt: minute(30) }));
    await receiveOne(incoming({ fingerprint: print, status: "resolved", startsAt: minute(0), endsAt: minute(20) }));
    expect((await episodesOf(print)).map((episode) => episode["status"])).toEqual(["resolved", "firing"]);
  });

  test("a later start without a resolve closes the episode before, tells its run and starts another run", async () => {
    const print = fingerprint();
    const first = await receiveOne(incoming({ fingerprint: print, startsAt: minute(0) }));
    const second = await receiveOne(incoming({ fingerprint: print, startsAt: minute(30) }));
    if (first?.kind !== "firing" || second?.kind !== "firing") throw new Error("both are firing");
    expect(second.episodeId).not.toBe(first.episodeId);
    expect(second.runs[0]?.created).toBe(true);
    expect(await episodesOf(print)).toMatchObject([
      { status: "resolved", ends_at: new Date(minute(30)) },
      { status: "firing", ends_at: null },
    ]);
    expect((await store.reads.events(first.runs[0]?.id ?? "", 1)).map((event) => event.type)).toEqual([
      "alert-resolved",
    ]);
    expect(await receiveOne(incoming({ fingerprint: print, startsAt: minute(0) }))).toEqual({
      kind: "ignored",
      reason: "late-duplicate",
    });
  });

  test("firing and resolved alerts of one notification are each stored", async () => {
    const [fires, over] = [fingerprint(), fingerprint()];
    await receiveOne(incoming({ fingerprint: over }));
    const answers = await store.receive([
      incoming({ fingerprint: over, status: "resolved", endsAt: minute(9) }),
      incoming({ fingerprint: fires }),
    ]);
    expect(answers.map((answer) => answer.kind)).toEqual(["ignored", "firing"]);
    expect(await episodesOf(over)).toMatchObject([{ status: "resolved" }]);
    expect(await episodesOf(fires)).toMatchObject([{ status: "firing" }]);
  });

  test("the same alert twice in one notification is one episode and one run", async () => {
    const print = fingerprint();
    const answers = await store.receive([incoming({ fingerprint: print }), incoming({ fingerprint: print })]);
    expect(answers.map((answer) => answer.kind === "firing" && answer.runs.map((run) => run.created))).toEqual([
      [true],
      [false],
    ]);
    expect(await episodesOf(print)).toMatchObject([{ notifications: 2 }]);
    expect(await runsOf(print)).toHaveLength(1);
  });

  test("no alerts are no statement", async () => {
    expect(await store.receive([])).toEqual([]);
  });

  test("takes as many statements for 500 alerts as for one", async () => {
    const counted = sameStore(store.url);
    let statements = 0;
    counted.database.pool.on("connect", (client) => {
      const send = client.query.bind(client) as (...args: unknown[]) => unknown;
      Object.assign(client, {
        query: (...args: unknown[]) => {
          statements += 1;
          return send(...args);
        },
      });
    });
    const many = (status: "firing" | "resolved", prints: readonly string[]) =>
      prints.map((print) => incoming({ fingerprint: print, status, endsAt: status === "resolved" ? minute(9) : null }));
    const count = async (work: () => Promise<unknown>) => {
      const before = statements;
      await work();
      return statements - before;
    };
    const [one, five] = [[fingerprint()], Array.from({ length: 500 }, fingerprint)];
    const [alone, together] = [
      await count(() => counted.receive(many("firing", one))),
      await count(() => counted.receive(many("firing", five))),
    ];
    expect(alone).toBe(1);
    expect(together).toBe(1);
    expect(await count(() => counted.receive(many("resolved", five)))).toBe(
      await count(() => counted.receive(many("resolved", one))),
    );
    expect(
      await store.sql("SELECT FROM paramedic.episodes WHERE fingerprint = ANY($1) AND status = 'resolved'", [five]),
    ).toHaveLength(500);
  });

  test("a flood is stored in one transaction, by statements that are never larger than Postgres has time for", async () => {
    const counted = sameStore(store.url);
    const begun: string[] = [];
    let largest = 0;
    counted.database.pool.on("connect", (client) => {
      const send = client.query.bind(client) as (...args: unknown[]) => unknown;
      Object.assign(client, {
        query: (...args: [string | { text: string; values?: unknown[] }, unknown[]?]) => {
          const [what, values = typeof what === "string" ? [] : (what.values ?? [])] = args;
          if (what === "BEGIN") begun.push(what);
          for (const value of values) if (Array.isArray(value)) largest = Math.max(largest, value.length);
          return send(...args);
        },
      });
    });
    const prints = Array.from({ length: 4_500 }, fingerprint);
    const told = prints.map((print) => incoming({ fingerprint: print }));
    const [first, last] = [told[0], told.at(-1)] as [IncomingAlert, IncomingAlert];
    const again = incoming({ fingerprint: first.alert.fingerprint });
    const answers = await counted.receive([...told, again]);
    expect(answers.map(({ kind }) => kind)).toEqual(Array(4_501).fill("firing"));
    expect(answers.slice(0, -1)).toEqual(
      told.map(({ episodeId }) => expect.objectContaining({ episodeId, runs: [expect.anything()] })),
    );
    expect(answers.at(-1)).toMatchObject({ episodeId: first.episodeId, runs: [{ created: false }] });
    const over = prints.map((print) => incoming({ fingerprint: print, status: "resolved", endsAt: minute(9) }));
    await counted.receive(over);
    expect(await runsOf(last.alert.fingerprint)).toEqual([expect.objectContaining({ due: true })]);
    expect(
      await store.sql(
        `SELECT count(*)::int AS resolved FROM paramedic.episodes e JOIN paramedic.runs r ON r.episode_id = e.id
         WHERE e.fingerprint = ANY($1) AND e.status = 'resolved' AND r.last_seq = 2`,
        [prints],
      ),
    ).toEqual([{ resolved: 4_500 }]);
    expect(begun).toHaveLength(2);
    expect(largest).toBeLessThanOrEqual(2_001);
  });

  test("a notification that cannot be stored costs no other one that shares its statement", async () => {
    const [bad, good] = [fingerprint(), Array.from({ length: 5 }, fingerprint)];
    const answers = await Promise.all([
      store.receive([incoming({ fingerprint: good[0] as string })]),
      store.receive([incoming({ fingerprint: bad, labels: { alertname: "a\u0000b" } })]),
      store.receive([incoming({ fingerprint: good[1] as string })]),
      store.receive([incoming({ fingerprint: bad, startsAt: "soon" })]),
      store.receive([incoming({ fingerprint: good[2] as string, status: "resolved", endsAt: minute(9) })]),
      store.receive([incoming({ fingerprint: bad, status: "resolved", endsAt: "never" })]),
      store.receive([incoming({ fingerprint: good[3] as string })]),
    ]);
    expect(answers.map(([answer]) => (answer?.kind === "ignored" ? answer.reason : answer?.kind))).toEqual([
      "firing",
      "invalid",
      "firing",
      "invalid",
      "resolved",
      "invalid",
      "firing",
    ]);
    for (const print of good.slice(0, 4)) expect(await episodesOf(print)).toHaveLength(1);
    expect(await episodesOf(bad)).toEqual([]);
  });

  test("an alert that Postgres refuses costs the others of its own notification nothing", async () => {
    const prints = Array.from({ length: 4 }, fingerprint) as [string, string, string, string];
    const answers = await store.receive([
      incoming({ fingerprint: prints[0] }),
      incoming({ fingerprint: prints[1], labels: { alertname: "a\u0000b" } }),
      incoming({ fingerprint: prints[2], status: "resolved", endsAt: "never" }),
      incoming({ fingerprint: prints[3] }),
    ]);
    expect(answers.map((answer) => (answer.kind === "ignored" ? answer.reason : answer.kind))).toEqual([
      "firing",
      "invalid",
      "invalid",
      "firing",
    ]);
    expect(await runsOf(prints[0])).toHaveLength(1);
    expect(await runsOf(prints[3])).toHaveLength(1);
  });

  test("labels are kept as they are, whatever they are called", async () => {
    const labels = JSON.parse('{"__proto__": "x", "constructor": "y", "quote\'": "\\u202e\\"; DROP TABLE runs; --"}');
    const print = fingerprint();
    await receiveOne(incoming({ fingerprint: print, labels }));
    const [episode] = (await store.reads.episodes({ status: "firing", limit: 200, before: null })).filter(
      (one) => one.fingerprint === print,
    );
    expect(Object.entries(episode?.labels ?? {}).sort()).toEqual(Object.entries(labels).sort());
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });
});
