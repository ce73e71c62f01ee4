import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { logsErrors } from "../../../src/actions/logs/errors.ts";
import { isLogName } from "../../../src/actions/logs/log-files.ts";
import type { Target } from "../../../src/domain/target.ts";
import { bareTarget, canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

let home: string;
let folder: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "paramedic-logs-"));
  folder = join(home, "log");
  await mkdir(folder);
});

afterEach(() => rm(home, { recursive: true }));

const targetOf = (...files: string[]): Target => ({
  ...bareTarget,
  logs: { files: files.length > 0 ? files : [join(folder, "*.log")], timeZone: "UTC" },
});

/** `seconds` ago as Python's logging writes it. */
const ago = (seconds: number) =>
  new Date(Date.now() - seconds * 1_000).toISOString().replace("T", " ").replace(".", ",").slice(0, 23);
const line = (seconds: number, text: string) => `${ago(seconds)} ${text}\n`;
const put = (name: string, ...lines: readonly string[]) => writeFile(join(folder, name), lines.join(""));

async function errors(input: object = {}, target: Target = targetOf()) {
  const parsed = logsErrors.input.safeParse(input);
  if (!parsed.success) throw new Error(JSON.stringify(parsed.error));
  const result = await logsErrors.observe(parsed.data, contextFor(target));
  if (result.status !== "observed") throw new Error(result.reason);
  return result.output;
}

describe("on files", () => {
  beforeEach(() => put("error.log", line(5, `ERROR login failed password=${canary}`), line(3, "INFO fine")));

  describeContract("logs.errors", {
    input: {},
    hostile: [
      null,
      { file: "/etc/shadow" },
      { files: ["/etc/*"] },
      { patterns: [] },
      { patterns: [""] },
      { patterns: ["x"] },
      { patterns: ["a\nb"] },
      { patterns: ["a\0b"] },
      { patterns: ["   "] },
      { patterns: "ERROR" },
      { patterns: ["ERROR", "ERROR"] },
      { sinceSeconds: 0 },
      { sinceSeconds: "1h" },
      { newest: 1_000 },
    ],
    healthy: () => ({ action: logsErrors, target: targetOf() }),
    gone: () => ({
      subject: { action: logsErrors, target: targetOf("/nowhere/at-all/*.log") },
      named: "/nowhere/at-all",
    }),
    state: async () => [await readdir(folder), await readFile(join(folder, "error.log"), "utf8")],
  });
});

test("counts entries in the time, by text, and returns the newest without their secrets", async () => {
  await put(
    "error.log",
    line(7_200, "ERROR too old"),
    line(60, "ERROR first"),
    line(50, "INFO nothing"),
    line(40, "CRITICAL ERROR both"),
    line(30, `ERROR second token=${canary}`),
  );
  const found = await errors({ newest: 2 });
  expect(found).toMatchObject({
    total: 3,
    counts: [
      { pattern: "ERROR", count: 3 },
      { pattern: "CRITICAL", count: 1 },
    ],
    perMinute: 0.05,
    untimed: 0,
    newest: [{ file: join(folder, "error.log"), text: expect.stringMatching(/ERROR second token=\[redacted\]$/) }, {}],
    unread: [],
  });
  expect(JSON.stringify(found)).not.toContain(canary);
});

test("lines without a time belong to the one before, and an entry counts once", async () => {
  const traceback = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: ERROR ERROR\n';
  await put(
    "error.log",
    line(7_200, "ERROR old"),
    traceback,
    line(20, "ERROR new"),
    traceback,
    line(10, "INFO"),
    traceback,
  );
  const found = await errors({ patterns: ["ERROR", "ValueError"] });
  expect(found.counts).toEqual([
    { pattern: "ERROR", count: 2 },
    { pattern: "ValueError", count: 2 },
  ]);
  expect(found.total).toBe(2);
  expect(found.newest[1]?.text).toMatch(/ERROR new\nTraceback[\s\S]*ValueError: ERROR ERROR$/);
});

test("texts are no patterns: what means something to grep is looked for as it stands", async () => {
  await put("error.log", line(5, "a.*b"), line(4, "axxb"), line(3, "$(id); DROP TABLE"));
  expect((await errors({ patterns: [".*", "$(id); DROP", "^a"] })).counts.map(({ count }) => count)).toEqual([1, 1, 0]);
});

test.each<[string, string]>([
  ["Django's server", "[22/Nov/2026 20:56:17] "],
  ["nginx's access log", '10.0.0.1 - - [22/Nov/2026:21:56:17 +0100] "GET /" '],
  ["nginx's error log", "2026/11/22 20:56:17 [error] "],
  ["Django's verbose format", "ERROR 2026-11-22 20:56:17,123 module "],
  ["brackets", "[2026-11-22 20:56:17,123] "],
  ["ISO in UTC", "2026-11-22T20:56:17.123456Z "],
  ["ISO with a zone", "2026-11-22T15:56:17-05:00 "],
  ["ISO with a zone after a space", "2026-11-22 22:56:17,123 +02:00 "],
  ["JSON", '{"level":"error","timestamp":"2026-11-22T20:56:17Z","message":"'],
  ["JSON in milliseconds", '{"level":50,"time":1795380977123,"msg":"'],
])("reads the time of %s", async (_name, start) => {
  await put("error.log", `2026-11-22 20:56:16,999 x\n${start}boom\n`);
  const context = { ...contextFor(targetOf()), now: () => Date.parse("2026-11-22T20:56:20Z") };
  const found = await logsErrors.observe({ sinceSeconds: 3, patterns: ["boom"], newest: 1 }, context);
  expect(found).toMatchObject({
    output: { total: 1, newest: [{ at: expect.stringMatching(/^2026-11-22T20:56:17/) }] },
  });
  const later = { ...context, now: () => Date.parse("2026-11-22T20:56:25Z") };
  expect(await logsErrors.observe({ sinceSeconds: 3, patterns: ["boom"], newest: 1 }, later)).toMatchObject({
    output: { total: 0 },
  });
});

test("times without a zone are of the configured one, also when its clocks have changed", async () => {
  await put("error.log", "2026-07-01 12:00:00,000 boom\n", "2026-12-01 12:00:00,000 boom\n");
  const target = { ...bareTarget, logs: { files: [join(folder, "*.log")], timeZone: "Europe/Berlin" } };
  const context = { ...contextFor(target), now: () => Date.parse("2026-12-01T12:00:00Z") };
  const found = await logsErrors.observe({ sinceSeconds: 31_536_000, patterns: ["boom"], newest: 2 }, context);
  expect(found).toMatchObject({
    output: { newest: [{ at: "2026-12-01T11:00:00.000Z" }, { at: "2026-07-01T10:00:00.000Z" }] },
  });
});

test("without any time lines count one by one, and it is said that their time is not known", async () => {
  await put("error.log", "boom\nfine\nboom boom\n");
  expect(await errors({ patterns: ["boom"] })).toMatchObject({
    total: 2,
    untimed: 2,
    newest: [{ at: "" }, { at: "" }],
  });
});

test("rotated and compressed files count, other files and links do not", async () => {
  await put("error.log", line(1, "ERROR a"));
  await put("error.log.1", line(2, "ERROR b"));
  await writeFile(join(folder, "error.log.2.gz"), gzipSync(line(3, "ERROR c") + line(4, "ERROR d")));
  await writeFile(join(folder, "error.log-20261122.gz"), gzipSync(line(5, "ERROR e")));
  await put("other.txt", line(1, "ERROR not meant"));
  await put(".hidden.log", line(1, "ERROR not meant"));
  await writeFile(join(home, "outside.log"), line(1, "ERROR outside"));
  await symlink(join(home, "outside.log"), join(folder, "link.log"));
  await symlink(join(folder, "error.log"), join(folder, "again.log"));
  await mkdir(join(folder, "folder.log"));
  const found = await errors();
  expect(found.total).toBe(5);
  expect(found.unread).toEqual([
    { file: join(folder, "again.log"), why: "it is a link" },
    { file: join(folder, "link.log"), why: "it is a link" },
  ]);
});

test("what Python's handlers and logrotate rotated by the date counts; what cannot be decompressed is told", async () => {
  const names = ["error.log.2026-11-22", "error.log.2026-11-22_03", "error.log-2026-11-23.gz"];
  await put("error.log", line(1, "INFO a new day"));
  for (const name of names) {
    const text = line(60, "ERROR before midnight");
    await writeFile(join(folder, name), name.endsWith(".gz") ? gzipSync(text) : text);
  }
  for (const name of ["error.log.1.xz", "error.log-2026-11-22.zst", "error.log.2026-11-21.bz2"]) await put(name, "?");
  await put("error.log.3.xz", "?");
  await utimes(join(folder, "error.log.3.xz"), 0, 0);
  const found = await errors({}, targetOf(join(folder, "error.log")));
  expect(found.total).toBe(3);
  expect(found.unread.map(({ file, why }) => [basename(file), /^it is compressed with (\w+)/.exec(why)?.[1]])).toEqual([
    ["error.log-2026-11-22.zst", "zstd"],
    ["error.log.1.xz", "xz"],
    ["error.log.2026-11-21.bz2", "bzip2"],
  ]);
});

test("a folder that is reached through a link is refused with what to configure", async () => {
  await symlink(folder, join(home, "link"));
  await put("error.log", line(1, "ERROR"));
  const reason = expect.stringContaining("is a link or no folder. Links are not followed: configure the real path.");
  const target = targetOf(join(home, "link", "*.log"));
  expect(
    await logsErrors.observe({ sinceSeconds: 60, patterns: ["ERROR"], newest: 1 }, contextFor(target)),
  ).toMatchObject({
    status: "failed",
    reason,
  });
});

test("what cannot be read, or not to its end, is told, and the rest counts", async () => {
  await put("good.log", line(1, "ERROR"));
  const whole = gzipSync(Array.from({ length: 50_000 }, (_, index) => line(1, `ERROR ${Math.sin(index)}`)).join(""));
  await writeFile(join(folder, "cut.log.gz"), whole.subarray(0, whole.length / 2));
  await writeFile(join(folder, "bad.log.gz"), "no gzip");
  await put("pipe.txt");
  const found = await errors();
  expect(found.total).toBeGreaterThan(1_000);
  expect(found.unread).toEqual([
    { file: join(folder, "bad.log.gz"), why: expect.stringContaining("no whole gzip file") },
    { file: join(folder, "cut.log.gz"), why: expect.stringContaining("no whole gzip file") },
  ]);
});

test("a file without the right to read it is told, and the rest counts", async () => {
  await put("good.log", line(1, "ERROR"));
  await put("secret.log", line(1, "ERROR"));
  await chmod(join(folder, "secret.log"), 0);
  await chmod(home, 0o755);
  const found = await withoutRights(() => errors());
  expect(found.total).toBe(1);
  expect(found.unread).toEqual([{ file: join(folder, "secret.log"), why: "Paramedic may not read it" }]);
});

/** As nobody, where the tests run as root, who may read everything. */
async function withoutRights<T>(does: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return does();
  process.seteuid?.("nobody");
  try {
    return await does();
  } finally {
    process.seteuid?.(0);
  }
}

test("a file that was last written before the time is not even opened", async () => {
  await put("old.log", line(1, "ERROR with a wrong clock"));
  await utimes(join(folder, "old.log"), 0, 0);
  expect(await errors()).toMatchObject({ total: 0, files: [] });
});

test("a file that is renamed while others are read counts once", async () => {
  await put("a.log", line(1, "ERROR"));
  const target = targetOf(join(folder, "*.log"), join(folder, "a*"));
  expect((await errors({}, target)).total).toBe(1);
  await rename(join(folder, "a.log"), join(folder, "a.log.1"));
  expect((await errors({}, target)).total).toBe(1);
});

test("entries and lines are found whole wherever the pieces of a large file end, in constant memory", async () => {
  const lines: string[] = [];
  let expected = 0;
  for (let size = 0, index = 0; size < 24 * 1024 * 1024; index++) {
    const isError = index % 7 === 0;
    if (isError) expected++;
    const text = isError
      ? line(9, `ERROR ${"x".repeat(index % 500)}\n${"  at y\n".repeat(index % 5)}last ERROR line`)
      : line(9, "y".repeat(index % 3_000));
    lines.push(text);
    size += text.length;
  }
  lines.push(
    line(8, `ERROR ${"z".repeat(3 * 1024 * 1024)} MIDDLE ${"z".repeat(9 * 1024 * 1024)}`),
    ago(7),
    " ERROR without an end",
  );
  await put("large.log", ...lines);
  lines.length = 0;
  const before = process.memoryUsage().rss;
  const found = await errors({ patterns: ["ERROR", "last ERROR line", "MIDDLE"], newest: 3 });
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  expect(found.counts.map(({ count }) => count)).toEqual([expected + 2, expected, 1]);
  expect(found.total).toBe(expected + 2);
  expect(found.newest[0]?.text).toMatch(/ERROR without an end$/);
  expect(JSON.stringify(found).length).toBeLessThan(10_000);
}, 60_000);

test.each<[string, string, boolean]>([
  ["*.log", "a.log", true],
  ["*.log", "a.log.1", true],
  ["*.log", "a.log.12.gz", true],
  ["*.log", "a.log-20261122", true],
  ["*.log", "a.log.gz", true],
  ["a.log", "a.log.2026-11-22", true],
  ["a.log", "a.log.2026-11-22_03", true],
  ["a.log", "a.log.2026-11-22_03-15", true],
  ["a.log", "a.log.2026-11-22_03-15-59", true],
  ["a.log", "a.log.2026-11-22T03:15:59", true],
  ["a.log", "a.log-2026-11-22.gz", true],
  ["a.log", "a.log-20261122-1795312800.gz", true],
  ["a.log", "a.log_20261122", true],
  ["a.log", "a.log.1.xz", true],
  ["a.log", "a.log-20261122.zst", true],
  ["a.log", "a.log.2026-11-22.bz2", true],
  ["a.log", "a.log.2026-11-22.bak", false],
  ["a.log", "a.log.2026-11-", false],
  ["a.log", "a.log.2026-11-22.gz.gz", false],
  ["*.log", "a.log.bak", false],
  ["*.log", "a.logs", false],
  ["app?.log", "app1.log", true],
  ["app?.log", "app.log", false],
  ["[a].log", "a.log", false],
])("%s: %s is meant: %s", (pattern, name, meant) => {
  expect(isLogName(pattern, name)).toBe(meant);
});
