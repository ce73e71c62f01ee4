import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemdJournal } from "../../../src/actions/systemd/journal.ts";
import { messageOf } from "../../../src/actions/systemd/journalctl.ts";
import { systemdService } from "../../support/systemd.ts";
import { serviceUnit } from "../../support/systemd-units.ts";
import { until } from "../../support/until.ts";
import { canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { busAt, createUnitWard, type UnitWard } from "./unit-ward.ts";

test.each<[unknown, string]>([
  ["text", "text"],
  [[104, 105, 255], "hi\ufffd"],
  [[], ""],
  [null, "(too long to be shown)"],
  [undefined, "(too long to be shown)"],
  [["one", [116, 119, 111], null], "one\ntwo\n(too long to be shown)"],
])("MESSAGE %j is read as %j", (value, text) => expect(messageOf(value)).toBe(text));

/** Logs plain text, bytes, colours, a line longer than 4096 bytes, a secret, an error, and then what would be a flood. */
const chatter = `
const write = (text) => process.stdout.write(text + "\\n");
write("plain line");
process.stdout.write(Buffer.from([98, 105, 110, 255, 2, 1, 101, 110, 100, 10]));
write("\\u001b[31mred\\u001b[0m");
write("L".repeat(6000));
write("login password=${canary} done");
write("<3>something is wrong");
write("last");
if (process.argv[2]) for (let line = 0; line < 200; line++) write(line + " " + "f".repeat(1000));
`;

systemdService.describe("systemd.journal", () => {
  let ward: UnitWard;
  const unit = "chatter.service";

  beforeAll(async () => {
    ward = await createUnitWard();
    const program = join(ward.systemd.folder, "chatter.mjs");
    await writeFile(program, chatter);
    const units = ["chatter.service", "flood.service", "quiet.service"];
    const node = process.execPath;
    await ward.systemd.install({
      "chatter.service": serviceUnit(`${node} ${program}`, ["Type=oneshot", "RemainAfterExit=yes"]),
      "flood.service": serviceUnit(`${node} ${program} flood`, ["Type=oneshot", "LogRateLimitIntervalSec=0"]),
      "quiet.service": serviceUnit("/bin/true"),
    });
    ward = { ...ward, target: ward.targetWith({ units }) };
    await ward.systemd.systemctl("start", "chatter.service", "flood.service");
    await until(async () => (await read(unit)).lines.some(({ message }) => message.includes("Finished")));
    await until(async () => (await read("flood.service")).lines.some(({ message }) => message.startsWith("199 ")));
  });
  afterAll(() => ward?.systemd.down());

  const action = () => systemdJournal(ward.settings);
  const read = async (name: string, lines = 100, target = ward.target) => {
    const result = await action().observe({ unit: name, lines, sinceStart: false }, contextFor(target));
    if (result.status !== "observed") throw new Error(JSON.stringify(result));
    return result.output;
  };

  describeContract("systemd.journal", {
    input: { unit, lines: 20 },
    hostile: [
      {},
      null,
      { unit: "*" },
      { unit: "chatter.service", lines: 0 },
      { unit: "chatter.service", lines: 1_001 },
      { unit: "chatter.service", lines: "20" },
      { unit: "--directory=/etc.service" },
      { unit: "a.service _UID=0.service" },
      { unit: "chatter.service", since: "yesterday" },
    ],
    healthy: () => ({ action: action(), target: ward.target }),
    at: (port) => ({ action: systemdJournal(busAt(port)), target: ward.target }),
    state: () => ward.systemd.show(unit, "InvocationID"),
  });

  test("reads every kind of line, the newest last, without secrets, colours and control characters", async () => {
    const { lines, errors, cut } = await read(unit);
    const messages = lines.map(({ message }) => message);
    const logged = messages.slice(messages.indexOf("plain line"), messages.indexOf("last") + 1);
    expect(logged).toEqual([
      "plain line",
      "bin\ufffd  end",
      "red",
      `${"L".repeat(1_999)}…`,
      "login password=[redacted] done",
      "something is wrong",
      "last",
    ]);
    expect(lines.find(({ message }) => message === "something is wrong")).toMatchObject({ priority: 3 });
    expect(lines.find(({ message }) => message === "last")).toMatchObject({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      priority: 6,
    });
    expect([errors, cut]).toEqual([1, true]);
  });

  test("takes the newest lines only, as many as asked for", async () => {
    const { lines } = await read("flood.service", 5);
    expect(lines).toHaveLength(5);
    expect(lines.some(({ message }) => message.startsWith("199 "))).toBe(true);
  });

  test("is bounded, whatever was logged, and says that it was cut", async () => {
    const { lines, cut } = await read("flood.service", 1_000);
    const size = lines.reduce((sum, { message }) => sum + message.length, 0);
    expect(size).toBeLessThanOrEqual(64 * 1024);
    expect(size).toBeGreaterThan(60 * 1024);
    expect(cut).toBe(true);
    expect(lines.some(({ message }) => message.startsWith("199 "))).toBe(true);
  });

  test("can be limited to what was logged since the last start", async () => {
    await ward.systemd.systemctl("restart", unit);
    const plains = (lines: readonly { readonly message: string }[]) =>
      lines.filter(({ message }) => message === "plain line").length;
    await until(async () => plains((await read(unit)).lines) === 2);
    const result = await action().observe({ unit, lines: 100, sinceStart: true }, contextFor(ward.target));
    if (result.status !== "observed") throw new Error(result.reason);
    expect(plains(result.output.lines)).toBe(1);
  });

  test("of a unit that has logged nothing is empty", async () => {
    expect(await read("quiet.service")).toEqual({ unit: "quiet.service", lines: [], errors: 0, cut: false });
  });

  test.each([
    ["a unit that is not listed", "bystander.service", "does not list this unit"],
    ["a folder that is no journal", unit, "journalctl ended with 1"],
  ])("%s is refused", async (_what, name, reason) => {
    const target = ward.targetWith({ units: [unit], journal: "/nonexistent" });
    const result = await action().observe({ unit: name, lines: 1, sinceStart: false }, contextFor(target));
    expect(result).toMatchObject({ status: "failed", reason: expect.stringContaining(reason) });
  });
});
