import { execFileSync } from "node:child_process";
import { link, lstat, mkdir, mkdtemp, readdir, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DeletePlan, deleteOld } from "../../../src/actions/files/delete-old.ts";
import type { Target } from "../../../src/domain/target.ts";
import { systemdService } from "../../support/systemd.ts";
import { bareTarget, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

let home: string;
let folder: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "paramedic-files-"));
  folder = join(home, "log");
  await mkdir(join(folder, "deep/deeper"), { recursive: true });
});

afterEach(() => rm(home, { recursive: true }));

const targetOf = (...folders: string[]): Target => ({ ...bareTarget, files: { folders } });
const days = (count: number) => Date.now() / 1_000 - count * 86_400;

async function put(name: string, age: number, text = "x"): Promise<void> {
  await writeFile(join(folder, name), text);
  await utimes(join(folder, name), days(age), days(age));
}

type Input = Parameters<typeof deleteOld.plan>[0];
const inputOf = (input: Partial<Input> = {}): Input => ({
  folder,
  pattern: "*.log",
  olderThanDays: 7,
  subfolders: false,
  atMost: 1_000,
  ...input,
});

async function planned(input: Partial<Input> = {}): Promise<{ plan: DeletePlan; effects: readonly string[] }> {
  const result = await deleteOld.plan(inputOf(input), contextFor(targetOf(folder)));
  if (result.status !== "planned") throw new Error(result.reason);
  return result;
}
const apply = (plan: DeletePlan, target = targetOf(folder)) => deleteOld.apply(plan, contextFor(target));
const names = async () => (await readdir(folder, { recursive: true })).sort();

describe("on a folder of its own", () => {
  let place: string;

  beforeAll(async () => {
    place = await mkdtemp(join(tmpdir(), "paramedic-contract-"));
  });
  afterAll(() => rm(place, { recursive: true }));

  const contract = (input: object) => ({ folder: place, pattern: "*.log", olderThanDays: 7, ...input });
  const gone = join(tmpdir(), "paramedic-is-not-there");

  describeContract("files.delete-old", {
    get input() {
      return contract({});
    },
    hostile: [
      null,
      {},
      { folder: "/", pattern: "*.log", olderThanDays: 7 },
      { folder: "//", pattern: "*.log", olderThanDays: 7 },
      { folder: "", pattern: "*.log", olderThanDays: 7 },
      { folder: "log", pattern: "*.log", olderThanDays: 7 },
      ...["", "*", "*.*", "**", "?", ".", "..", "../*.log", "a/b", "*.log\n", " *.log", "x\0.log"].map((pattern) => ({
        folder: "/tmp/x",
        pattern,
        olderThanDays: 7,
      })),
      { folder: "/tmp/x", pattern: "*.log", olderThanDays: 0 },
      { folder: "/tmp/x", pattern: "*.log", olderThanDays: -1 },
      { folder: "/tmp/x", pattern: "*.log", olderThanDays: "7; rm -rf /" },
      { folder: ["/tmp/x"], pattern: "*.log", olderThanDays: 7 },
      { folder: "/tmp/x", pattern: "*.log", olderThanDays: 7, followLinks: true },
    ],
    healthy: () => ({ action: deleteOld, target: targetOf(place) }),
    gone: () => ({ subject: { action: goneAction(place, gone), target: targetOf(gone) }, named: gone }),
    arrange: async () => {
      await writeFile(join(place, "old.log"), "old");
      await utimes(join(place, "old.log"), 1_700_000_000, 1_700_000_000);
      await writeFile(join(place, "new.log"), "new");
    },
    state: () => readdir(place),
  });
});

/** The same action for a folder that has vanished since it was named. */
function goneAction(from: string, to: string): typeof deleteOld {
  const moved = <T extends { folder: string }>(given: T): T => ({
    ...given,
    folder: given.folder === from ? to : given.folder,
  });
  return {
    ...deleteOld,
    plan: (input, context) => deleteOld.plan(moved(input), context),
    apply: (plan, context) => deleteOld.apply(moved(plan), context),
  };
}

test("deletes what is old and named so, and nothing else; the plan lists it with sizes, the oldest first", async () => {
  await put("b.log", 30, "x".repeat(2_048));
  await put("a.log", 8);
  await put("young.log", 6);
  await put("old.txt", 30);
  await put(".hidden.log", 30);
  await put("deep/inside.log", 30);
  const { plan, effects } = await planned();
  expect(effects).toEqual([
    expect.stringMatching(`^delete ${folder}/b.log \\(2.0 KiB, last written \\d{4}-\\d\\d-\\d\\d\\)$`),
    expect.stringMatching(`^delete ${folder}/a.log \\(1 bytes, `),
  ]);
  expect(await apply(plan)).toEqual({
    status: "done",
    result: { deleted: 2, freedBytes: 2_049, gone: 0, changed: [] },
  });
  expect(await names()).toEqual([".hidden.log", "deep", "deep/deeper", "deep/inside.log", "old.txt", "young.log"]);
});

test("goes into folders only where that is asked for, and no further than its limit of files", async () => {
  await put("deep/deeper/c.log", 20);
  await put("deep/b.log", 30);
  await put("a.log", 10);
  const { plan } = await planned({ subfolders: true, atMost: 2 });
  expect(plan.files.map(({ path }) => path)).toEqual(["deep/b.log", "deep/deeper/c.log"]);
  expect(await apply(plan)).toMatchObject({ status: "done", result: { deleted: 2 } });
  expect(await names()).toEqual(["a.log", "deep", "deep/deeper"]);
});

test("of many files the first are listed and the others summed up", async () => {
  for (let index = 0; index < 60; index++) await put(`${index}.log`, 10);
  const { effects } = await planned();
  expect(effects).toHaveLength(51);
  expect(effects.at(-1)).toBe("delete 10 more files (10 bytes)");
});

systemdService.describe("where something else holds a file", () => {
  test("the others are deleted, and the one that could not be is told", async () => {
    await put("a.log", 30);
    await put("held.log", 20);
    await put("b.log", 10);
    const { plan } = await planned();
    const held = join(folder, "held.log");
    execFileSync("mount", ["--bind", held, held]);
    try {
      expect(await apply(plan)).toMatchObject({
        status: "failed",
        reason: expect.stringMatching(/^2 files in .* were deleted, 1 could not be, such as held\.log\./),
      });
    } finally {
      execFileSync("umount", [held]);
    }
    expect(await names()).toContain("held.log");
    expect(await apply(plan)).toMatchObject({ status: "done", result: { deleted: 1, gone: 2 } });
  });
});

systemdService.describe("where something is mounted inside the folder", () => {
  test.each<[string, (outside: string) => readonly string[]]>([
    ["another file system", () => ["-t", "tmpfs", "none"]],
    ["a folder of the same one", (outside) => ["--bind", outside]],
  ])("%s is not entered", async (_what, args) => {
    const outside = join(home, "outside");
    const mounted = join(folder, "deep/deeper");
    await mkdir(outside);
    execFileSync("mount", [...args(outside), mounted]);
    try {
      await put("deep/deeper/precious.log", 30);
      await put("deep/old.log", 30);
      expect((await planned({ subfolders: true })).plan.files.map(({ path }) => path)).toEqual(["deep/old.log"]);
    } finally {
      execFileSync("umount", [mounted]);
    }
  });
});

test("no link is followed or deleted, neither to a file nor to a folder", async () => {
  const outside = join(home, "outside");
  await mkdir(outside);
  await writeFile(join(outside, "precious.log"), "precious");
  await utimes(join(outside, "precious.log"), days(30), days(30));
  await symlink(outside, join(folder, "linked"));
  await symlink(join(outside, "precious.log"), join(folder, "linked.log"));
  expect((await planned({ subfolders: true })).plan.files).toEqual([]);
});

test("a folder that is reached through a link is refused", async () => {
  await symlink(folder, join(home, "link"));
  await put("old.log", 30);
  const path = join(home, "link");
  const result = await deleteOld.plan(inputOf({ folder: path }), contextFor(targetOf(path)));
  expect(result).toMatchObject({ status: "failed", reason: expect.stringContaining("is a link or no folder") });
  expect(
    await deleteOld.plan(inputOf({ folder: join(path, "deep") }), contextFor(targetOf(join(path, "deep")))),
  ).toMatchObject({
    status: "failed",
    reason: expect.stringContaining(`${path} is a link or no folder`),
  });
});

test("a folder that is replaced by a link between plan and apply leads nowhere", async () => {
  const outside = join(home, "outside");
  await mkdir(outside);
  await put("deep/old.log", 30);
  const { plan } = await planned({ subfolders: true });
  expect(plan.files).toHaveLength(1);
  // The very file that was planned, so that only the path is another one.
  await link(join(folder, "deep/old.log"), join(outside, "old.log"));
  await rename(join(folder, "deep"), join(home, "aside"));
  await symlink(outside, join(folder, "deep"));
  expect(await apply(plan)).toMatchObject({ status: "done", result: { deleted: 0, gone: 1 } });
  expect(await readdir(outside)).toEqual(["old.log"]);
});

test("what was written, replaced or deleted since it was planned is left alone", async () => {
  for (const name of ["written.log", "replaced.log", "linked.log", "gone.log", "same.log"]) await put(name, 30);
  const { plan } = await planned();
  await writeFile(join(folder, "written.log"), "again");
  await rm(join(folder, "replaced.log"));
  await put("replaced.log", 30);
  await rm(join(folder, "linked.log"));
  await symlink("/etc/hostname", join(folder, "linked.log"));
  await rm(join(folder, "gone.log"));
  expect(await apply(plan)).toEqual({
    status: "done",
    result: {
      deleted: 1,
      freedBytes: 1,
      gone: 1,
      changed: expect.arrayContaining(["linked.log", "replaced.log", "written.log"]),
    },
  });
  expect(await names()).toEqual(["deep", "deep/deeper", "linked.log", "replaced.log", "written.log"]);
  expect((await lstat(join(folder, "linked.log"))).isSymbolicLink()).toBe(true);
});

test("a plan that names what is outside of the folder is not obeyed", async () => {
  await writeFile(join(home, "precious.log"), "x");
  const found = await stat(join(home, "precious.log"), { bigint: true });
  const file = { bytes: 1, inode: `${found.dev}:${found.ino}`, modified: String(found.mtimeNs) };
  for (const path of ["../precious.log", "/precious.log", "deep/../../precious.log", ""]) {
    expect(await apply({ folder, files: [{ ...file, path }] })).toMatchObject({ result: { deleted: 0 } });
  }
  expect((await stat(join(home, "precious.log"))).size).toBe(1);
});

test.each<[string, () => Target, string]>([
  ["no folders", () => bareTarget, "add files: { folders"],
  ["an empty list", () => targetOf(), "add files: { folders"],
  ["the root", () => targetOf("/"), "lists / or a relative path"],
  ["another folder", () => targetOf(home), "does not list this folder"],
])("a target with %s is refused, by plan and by apply", async (_name, target, words) => {
  await put("old.log", 30);
  const reason = expect.stringContaining(words);
  expect(await deleteOld.plan(inputOf(), contextFor(target()))).toMatchObject({ status: "failed", reason });
  expect(await apply({ folder, files: [] }, target())).toMatchObject({ status: "failed", reason });
});

test("a name cannot write on the screen of whoever reads the plan", async () => {
  await put("a\u001b[2J\nb.log", 30);
  expect((await planned()).effects).toEqual([expect.stringContaining(`${folder}/a?[2J?b.log`)]);
});

test("is stopped between two files, and says how far it came", async () => {
  for (let index = 0; index < 50; index++) await put(`${index}.log`, 10);
  const { plan } = await planned();
  const abort = new AbortController();
  const context = contextFor(targetOf(folder), abort.signal);
  let asked = 0;
  const signal = new Proxy(abort.signal, {
    get: (real, name) => (name === "aborted" ? asked++ > 10 : Reflect.get(real, name)),
  });
  const outcome = await deleteOld.apply(plan, { ...context, signal });
  expect(outcome).toMatchObject({ status: "unknown", reason: expect.stringMatching(/^Stopped after \d+ of 50 files/) });
  const left = (await names()).filter((name) => name.endsWith(".log")).length;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(50);
  expect(await apply((await planned()).plan)).toMatchObject({ status: "done", result: { deleted: left } });
});
