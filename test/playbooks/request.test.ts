import { parseMaintenanceWindow } from "../../src/domain/maintenance-window.ts";
import type { PostgresTarget } from "../../src/domain/target.ts";
import { createRequestRun, type RequestedRun } from "../../src/playbooks/request.ts";
import { playbook } from "../support/builders.ts";

const postgres: PostgresTarget = { url: "postgres://x@y/db", users: ["app"], databases: ["db"] };
const sunday = parseMaintenanceWindow("Sun 02:00-05:00 UTC");

/** Asks for a playbook that keeps to the target's maintenance windows. */
async function ask(options: {
  at: string;
  windows?: boolean;
  dryRun?: boolean;
  key?: string;
  /** By key, what was made before. */
  made?: Map<string, string>;
}): Promise<RequestedRun> {
  const { at, windows = true, dryRun = false, key = null, made = new Map() } = options;
  const requestRun = createRequestRun({
    playbooks: [playbook({ name: "weekly", during: "maintenance" })],
    targets: [{ name: "db", postgres: { ...postgres, ...(windows && sunday && { maintenance: [sunday] }) } }],
    store: {
      create: async ({ id }, _, key) => {
        if (key !== null) made.set(key, id);
        return { id, created: true };
      },
      known: async (_, key) => made.get(key) ?? null,
    },
    hint: () => {},
    newId: () => "a-run",
    now: () => Date.parse(at),
    log: { info: () => {} },
  });
  const nobody = { target: null, inputs: {}, reason: "a test", by: "api:tests", idempotencyKey: key };
  return await requestRun({ ...nobody, playbook: "weekly", dryRun });
}

const refusedFor = (words: string) => ({
  kind: "invalid",
  problems: [{ field: "target", message: expect.stringContaining(words) }],
});

test("who asks outside of the maintenance window is refused at once, and told when it is", async () => {
  expect(await ask({ at: "2026-11-22T01:59:59Z" })).toEqual(refusedFor("(Sun 02:00-05:00 UTC)"));
  expect(await ask({ at: "2026-11-22T02:00:00Z" })).toMatchObject({ kind: "created" });
  expect(await ask({ at: "2026-11-22T05:00:00Z" })).toEqual(refusedFor("no maintenance window is open"));
});

test("who asks where there is no window is told to configure one, and what it would do can be seen at any time", async () => {
  expect(await ask({ at: "2026-11-22T03:00:00Z", windows: false })).toEqual(refusedFor("postgres.maintenance"));
  expect(await ask({ at: "2026-11-25T12:00:00Z", dryRun: true })).toMatchObject({ kind: "created" });
});

test("a request of the window whose answer was lost is answered with its run after the window, too", async () => {
  const made = new Map<string, string>();
  const first = await ask({ at: "2026-11-22T04:59:59Z", key: "again", made });
  expect(first).toMatchObject({ kind: "created" });
  expect(await ask({ at: "2026-11-22T05:00:01Z", key: "again", made })).toEqual({ ...first, kind: "known" });
  expect(await ask({ at: "2026-11-22T05:00:01Z", key: "another", made })).toEqual(refusedFor("no maintenance window"));
});
