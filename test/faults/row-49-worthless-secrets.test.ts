import { type ConfigFolder, createConfigFolder } from "../support/config-file.ts";

let files: ConfigFolder;

beforeAll(() => {
  files = createConfigFolder();
});

afterAll(() => files.remove());

const alertmanager = "alertmanager: { tokens: [{ env: T }] }\n";

test.each([
  ["nothing", undefined, "T is not set"],
  ["an empty text", "", "is empty"],
  ["blanks", " \t\n ", "is empty"],
  ["changeme", "changeme", "well-known default"],
  ["Change-Me!", "Change-Me!", "well-known default"],
  ["secret", "secret", "well-known default"],
  ["password", "password", "well-known default"],
  ["password123", "password123", "well-known default"],
  ["<your-token-here>", "<your-token-here>", "well-known default"],
  ["one character over and over", "xxxxxxxxxxxxxxxx", "can be guessed"],
  ["digits", "12345678", "can be guessed"],
  ["too few characters", "k9$Fz2q", "shorter than 8"],
  ["a blank inside", "two words-and-more", "without spaces"],
  ["a line break inside", "long-enough\nreally", "without spaces"],
])("with %s as Alertmanager's token there is no start", (_case, value, reason) => {
  const problems = files.problems(alertmanager, { T: value });
  expect(problems).toEqual([expect.stringMatching(new RegExp(`^1: alertmanager.tokens\\[0\\]: .*${reason}`))]);
});

test.each([
  ["no section", ""],
  ["an empty section", "alertmanager: {}\n"],
  ["an empty list", "alertmanager: { tokens: [] }\n"],
])("with %s there is no token and no start", (_case, text) => {
  expect(files.problems(text)).toEqual([expect.stringContaining("alertmanager.tokens: at least one is needed")]);
});

test("two good tokens start, for rotation; a good one does not excuse a worthless one", () => {
  const text = "alertmanager: { tokens: [{ env: OLD }, { env: NEW }] }\n";
  expect(files.problems(text, { OLD: "9f2c1d8e7b", NEW: "c0ffee-4-you" })).toEqual([]);
  expect(files.problems(text, { OLD: "9f2c1d8e7b", NEW: "" })).toHaveLength(1);
});

test.each([
  ["a literal", "canary-literal-secret"],
  ["a literal number", "12345678901"],
  ["an unknown source", "{ vault: x }"],
  ["two sources", "{ env: T, file: t }"],
  ["an empty name", "{ env: '' }"],
  ["a list", "[T]"],
  ["nothing", "null"],
])("%s in the place of a secret is refused and not repeated", (_case, reference) => {
  const problems = files.problems(`alertmanager: { tokens: [${reference}] }`, { T: "9f2c1d8e7b" });
  expect(problems).toEqual([expect.stringMatching(/\{ env: NAME \} or \{ file: PATH \}/)]);
  expect(problems.join()).not.toMatch(/canary|12345678901/);
});

test("a secret from a file is read beside the configuration, without its final line break", () => {
  files.write("secrets/token", "9f2c1d8e7b\n");
  const config = files.config("alertmanager: { tokens: [{ file: secrets/token }] }");
  expect(config.alertmanager.tokens[0]?.reveal()).toBe("9f2c1d8e7b");
  files.write("secrets/token", "\n");
  expect(files.problems("alertmanager: { tokens: [{ file: secrets/token }] }")[0]).toContain("is empty");
});

test("an API token is held to the same, and no secret opens two doors", () => {
  const api = (secret: string) =>
    `${alertmanager}api: { tokens: [{ name: a, role: admin, secret: { env: ${secret} } }] }\n`;
  expect(files.problems(api("A"), { T: "9f2c1d8e7b", A: "changeme" })[0]).toMatch(/^2: api.*well-known default/);
  expect(files.problems(api("A"), { T: "9f2c1d8e7b", A: "9f2c1d8e7b" })).toEqual([
    expect.stringMatching(/^2: api.tokens\[0\].secret: the same secret is used for another token/),
  ]);
});

test.each(["", "  ", "changeme"])("a credential for somebody else's system is no secret when it is '%s'", (value) => {
  const text = `${alertmanager}pagerduty: { routingKey: { env: PD } }`;
  expect(files.problems(text, { T: "9f2c1d8e7b", PD: value })).toHaveLength(1);
});
