import { createLogger } from "../src/log.ts";

const canary = 'c4n"ary\\π-value';

function logging(secrets: readonly string[] = [canary]) {
  const lines: string[] = [];
  const log = createLogger({ level: "info", secrets, destination: { write: (line) => void lines.push(line) } });
  const last = () => JSON.parse(lines.at(-1) ?? "null");
  return { log, lines, last };
}

test("a line is JSON with level, time, process, fields and message", () => {
  const { log, lines, last } = logging();
  log.info({ run: "r1", count: 3 }, "A run ended");
  expect(last()).toEqual({
    level: "info",
    time: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    pid: process.pid,
    run: "r1",
    count: 3,
    msg: "A run ended",
  });
  expect(lines[0]).toMatch(/\n$/);
});

test("what is below the level is not written", () => {
  const { log, lines } = logging();
  log.debug("quiet");
  expect(lines).toEqual([]);
});

test("a secret is removed by its value wherever it stands", () => {
  const { log, lines } = logging();
  log.info(`in the message: ${canary}`);
  log.info({ a: { b: [{ c: `x${canary}y` }] }, [canary]: 1, url: encodeURIComponent(canary) }, "in fields and names");
  const error = new Error(`cannot use ${canary}`, { cause: new Error(`because of ${canary}`) });
  log.error({ err: Object.assign(error, { detail: { given: canary } }) }, "in an error");
  log.error({ error }, "in an error by its other name");
  log.child({ bound: canary }).info("in a child");
  expect(lines).toHaveLength(5);
  for (const line of lines) {
    expect(line).toContain("[secret]");
    expect(line).not.toMatch(/ary|c4n/);
    expect(() => JSON.parse(line)).not.toThrow();
  }
});

test("the longer of two secrets is removed whole", () => {
  const { log, last } = logging(["abcdef", "abcdefghij"]);
  log.info("abcdefghij");
  expect(last().msg).toBe("[secret]");
});

test("a secret of digits that is part of a number leaves a line that is JSON", () => {
  const { log, last } = logging(["12345678"]);
  log.info({ size: 12345678, other: 5 }, "Counted");
  expect(last()).toMatchObject({ size: "[secret]", other: 5 });
});

test("secrets with the signs of regular expressions are only texts", () => {
  const { log, last } = logging(["a.*b|c", "(x[y]{2}^$)"]);
  log.info("axxb a.*b|c (x[y]{2}^$)");
  expect(last().msg).toBe("axxb [secret] [secret]");
});

test.each([
  ["authorization", "Bearer x"],
  ["Authorization", "Bearer x"],
  ["token", "x"],
  ["accessToken", "x"],
  ["client_secret", "x"],
  ["password", "x"],
  ["PGPASSWORD", "x"],
  ["set-cookie", ["x"]],
  ["apiKey", { value: "x" }],
  ["routing_key", 5],
])("a field called %s never shows its value, at any depth", (name, value) => {
  const { log, last } = logging([]);
  log.info({ request: { headers: [{ [name]: value, host: "h" }] } }, "A request");
  expect(last().request.headers).toEqual([{ [name]: "[secret]", host: "h" }]);
});

test("the password inside a URL is removed even where it is no known secret", () => {
  const { log, last } = logging([]);
  log.info({ url: "postgres://user:hunter2@db/x", plain: "http://host:80/a@b" }, "cannot reach redis://:pw@h");
  expect(last()).toMatchObject({
    url: "postgres://user:[secret]@db/x",
    plain: "http://host:80/a@b",
    msg: "cannot reach redis://:[secret]@h",
  });
});

test("a value that is no JSON, or goes in circles, is still one line", () => {
  const { log, lines } = logging();
  const circle: Record<string, unknown> = { big: 5n, canary, fn: () => 1, nan: Number.NaN };
  circle["self"] = circle;
  log.info({ circle }, "Odd");
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain("c4n");
  expect(() => JSON.parse(lines[0] as string)).not.toThrow();
});
