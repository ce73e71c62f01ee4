/** One run per occurrence, however many workers look; none while another one goes on. */

import { newId } from "../../src/ids.ts";
import { createSchedules, type Scheduled } from "../../src/store/schedules.ts";
import { closeStores, newRun, newStore, type TestStore } from "../support/store.ts";

let store: TestStore;

beforeEach(async () => {
  store = await newStore();
});

afterEach(closeStores);

const minute = 60_000;

/** A schedule whose occurrences are the full minutes. */
function everyMinute(over: Partial<Scheduled> = {}): Scheduled {
  return {
    playbook: "nightly",
    due: (last, now) => {
      const due = Math.floor(now / minute) * minute;
      return due > last ? { due, verdict: "run", missed: 0 } : null;
    },
    runFor: (due) => newRun({ id: newId(), playbook: "nightly", trigger: { kind: "schedule", due } }),
    whileBusy: "skip",
    ...over,
  };
}

const schedules = () => createSchedules(store.database);
const dueAgain = () => store.sql("UPDATE paramedic.schedules SET last_due = now() - interval '5 minutes'");
const runs = () => store.sql("SELECT id, trigger, scheduled_for, state FROM paramedic.runs ORDER BY id");

test("a schedule that is seen for the first time starts nothing for the past", async () => {
  const asked: number[] = [];
  await schedules().tick(
    everyMinute({
      due: (last, now) => {
        asked.push(now - last);
        return null;
      },
    }),
  );
  expect(asked).toHaveLength(1);
  expect(asked[0]).toBeLessThan(1_000);
});

test("twenty workers that look at once start one run, with a whole history", async () => {
  await schedules().tick(everyMinute());
  await dueAgain();
  const ticked = (await Promise.all(Array.from({ length: 20 }, () => schedules().tick(everyMinute())))).filter(Boolean);
  expect(ticked).toMatchObject([{ what: "started", run: expect.any(String) }]);
  const [run] = await runs();
  expect(run).toMatchObject({ trigger: "schedule", state: "ready", scheduled_for: expect.any(Date) });
  expect(await store.reads.firstBrokenEvent(ticked[0]?.run ?? "")).toBeNull();
  expect(await runs()).toHaveLength(1);
});

test("an occurrence that was dealt with is never run again, even where the memory of it is lost", async () => {
  await schedules().tick(everyMinute());
  await dueAgain();
  expect(await schedules().tick(everyMinute())).toMatchObject({ what: "started" });
  await store.sql("UPDATE paramedic.runs SET state = 'ended', outcome = 'fixed', ended_at = now()");
  await dueAgain();
  const again = await schedules().tick(everyMinute());
  // Where the minute has turned meanwhile, it is the next occurrence that was started.
  const [first, second] = await runs();
  if (again?.run) expect(second?.scheduled_for).not.toEqual(first?.scheduled_for);
  else expect(second).toBeUndefined();
});

test("while a run of the playbook goes on an occurrence is left out, or waits for its end", async () => {
  await schedules().tick(everyMinute());
  await dueAgain();
  await schedules().tick(everyMinute());
  await dueAgain();
  const next = (over: Partial<Scheduled>) =>
    schedules().tick(everyMinute({ due: (_, now) => ({ due: now + 1, verdict: "run", missed: 2 }), ...over }));
  expect(await next({ whileBusy: "wait" })).toBeNull();
  expect(await runs()).toHaveLength(1);
  await store.sql("UPDATE paramedic.runs SET state = 'ended', outcome = 'fixed', ended_at = now()");
  expect(await next({ whileBusy: "wait" })).toMatchObject({ what: "started", missed: 2 });
  expect(await next({ whileBusy: "skip" })).toMatchObject({ what: "busy", run: null });
  expect(await runs()).toHaveLength(2);
});

test("an occurrence that comes too late is noted and not run", async () => {
  await schedules().tick(everyMinute());
  await dueAgain();
  const late = everyMinute({ due: (_, now) => ({ due: now - 1, verdict: "late", missed: 3 }) });
  expect(await schedules().tick(late)).toMatchObject({ what: "late", run: null, missed: 3 });
  expect(await runs()).toEqual([]);
});

test("a server's clock that was ahead and is set back stops no schedule, and repeats no occurrence", async () => {
  await schedules().tick(everyMinute());
  await dueAgain();
  const ticked = await schedules().tick(everyMinute());
  await store.sql("UPDATE paramedic.runs SET state = 'ended', outcome = 'fixed', ended_at = now()");
  await store.sql("UPDATE paramedic.schedules SET last_due = now() + interval '1 year'");
  expect(await schedules().tick(everyMinute())).toBeNull();
  const [row] = await store.sql("SELECT last_due <= now() AS back FROM paramedic.schedules");
  expect(row).toEqual({ back: true });
  const again = everyMinute({ due: () => ({ due: Date.parse(ticked?.due ?? ""), verdict: "run", missed: 0 }) });
  expect(await schedules().tick(again)).toBeNull();
  expect(await runs()).toHaveLength(1);
  const next = everyMinute({ due: () => ({ due: Date.parse(ticked?.due ?? "") + minute, verdict: "run", missed: 0 }) });
  expect(await schedules().tick(next)).toMatchObject({ what: "started" });
});

test("the page of a scheduled run can be held", async () => {
  await schedules().tick(everyMinute());
  await dueAgain();
  const hold = { policy: "database", afterMs: 60_000 };
  await schedules().tick(
    everyMinute({ runFor: (due) => ({ ...newRun({ trigger: { kind: "schedule", due } }), hold }) }),
  );
  expect(await store.sql("SELECT policy, held FROM paramedic.escalations")).toEqual([
    { policy: "database", held: true },
  ]);
});
