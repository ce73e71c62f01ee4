import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { dropInText, readDropIn } from "../../../src/actions/systemd/drop-in.ts";
import { type EnvironmentPlan, systemdSetEnvironment } from "../../../src/actions/systemd/set-environment.ts";
import type { Planned } from "../../../src/domain/action.ts";
import { systemdService } from "../../support/systemd.ts";
import { startBusProxy } from "../../support/systemd-bus-proxy.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { busAt, createUnitWard, type UnitWard } from "./unit-ward.ts";

/** Values that an unquoted, half-quoted or shell-quoted line would change. */
const nasty: Readonly<Record<string, string>> = {
  simple: "1",
  spaces: " a  b ",
  quotes: `it's "q"`,
  backslashes: "a\\b\\\\c\\n\\",
  percent: "100% %h %%",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is one of the values
  dollar: "$HOME ${X} $(reboot) `id`",
  comment: "# ; [x]=y\\\n[Service]\nExecStart=/bin/reboot",
  lines: "l1\nl2\r\n\ttab",
  unicode: "é☃😀",
  empty: "",
  control: "\u0001\u001b[0m\u007f",
  long: "x".repeat(3_000),
};

test("a drop-in says what was written into it, whatever the values are", () => {
  const value = fc.string({ unit: "grapheme", maxLength: 60 }).filter((text) => !text.includes("\0"));
  fc.assert(
    fc.property(fc.oneof(value, fc.constantFrom(...Object.values(nasty))), fc.option(value), (text, before) => {
      expect(readDropIn("NAME", dropInText("NAME", { value: text, before }))).toEqual({ value: text, before });
    }),
    { numRuns: 500 },
  );
});

test("a text that Paramedic did not write is not understood", () => {
  const text = dropInText("NAME", { value: "1", before: null });
  expect(readDropIn("NAME", text.replace("[Service]", "[Service]\nExecStart=/bin/x"))).toBeNull();
  expect(readDropIn("NAME", `${text}\n`)).toBeNull();
  expect(readDropIn("OTHER", text)).toBeNull();
  expect(readDropIn("NAME", "")).toBeNull();
});

systemdService.describe("systemd.set-environment", () => {
  let ward: UnitWard;
  const unit = "app.service";

  beforeAll(async () => {
    ward = await createUnitWard();
  });
  afterAll(() => ward?.systemd.down());
  afterEach(() => clear());

  const folders = () => ({ reboot: ward.systemd.runUnits, durable: ward.systemd.units });
  const action = () => systemdSetEnvironment(ward.settings, folders());
  const context = () => contextFor(ward.target);
  const clear = async () => {
    for (const folder of Object.values(folders()))
      await rm(join(folder, `${unit}.d`), { recursive: true, force: true });
    await ward.systemd.systemctl("daemon-reload");
  };
  const plan = async (variables: Record<string, string>, until: "reboot" | "durable" = "reboot") =>
    action().plan({ unit, variables, until }, context());
  const planned = (result: Planned<EnvironmentPlan>) => {
    if (result.status !== "planned") throw new Error(JSON.stringify(result));
    return result;
  };
  const set = async (variables: Record<string, string>, until: "reboot" | "durable" = "reboot") => {
    const { plan: made } = planned(await plan(variables, until));
    expect(await action().apply(made, context())).toMatchObject({ status: "done" });
    return made;
  };
  /** What the application itself sees. */
  const seen = async (): Promise<Record<string, string>> => {
    await ward.systemd.systemctl("restart", unit);
    return await until(async () => {
      const answer = await fetch(`http://127.0.0.1:${ward.port}/environment`);
      return (await answer.json()) as Record<string, string>;
    });
  };
  const state = async () => [
    await ward.systemd.show(unit, "Environment"),
    await ward.systemd.show(unit, "DropInPaths"),
    await Promise.all(
      Object.values(folders()).map((folder) => readdir(join(folder, `${unit}.d`)).catch(() => "no folder")),
    ),
  ];

  describeContract("systemd.set-environment", {
    input: { unit, variables: { CACHE_TIMEOUT: "7200" } },
    hostile: [
      {},
      null,
      { unit, variables: {} },
      { unit, variables: { "A=B": "1" } },
      { unit, variables: { "A B": "1" } },
      { unit, variables: { "A\nB": "1" } },
      { unit, variables: { "../A": "1" } },
      { unit, variables: { A: "a\0b" } },
      { unit, variables: { A: "\ud800" } },
      { unit, variables: { A: 1 } },
      { unit, variables: { A: "x".repeat(4_097) } },
      { unit, variables: { A: "1" }, until: "forever" },
      { unit, variables: { A: "1" }, folder: "/etc" },
      { unit: "../app.service", variables: { A: "1" } },
      { unit: "app.timer", variables: { A: "1" } },
      { unit: "app.service\n", variables: { A: "1" } },
    ],
    healthy: () => ({ action: action(), target: ward.target }),
    at: (port) => ({ action: systemdSetEnvironment(busAt(port), folders()), target: ward.target }),
    arrange: clear,
    state,
    midway: {
      hold: async () => {
        const proxy = await startBusProxy(ward.systemd);
        proxy.keepBack("Reload");
        return {
          subject: {
            action: systemdSetEnvironment({ systemBusAddress: proxy.busAddress }, folders()),
            target: ward.target,
          },
          inside: async () => proxy.keepsBack,
          release: () => proxy.close(),
        };
      },
      told: { status: "unknown", reason: expect.stringContaining("are written") },
    },
  });

  test.each(Object.entries(nasty))("a value of %s reaches the service as it is", async (_what, value) => {
    await set({ GREETING: value });
    // A service cannot be given bytes that are no text, and its own report is JSON.
    expect((await seen())["GREETING"]).toBe(value);
    expect(planned(await plan({ GREETING: value })).effects).toEqual([]);
  });

  test("several variables are set at once, over what the unit file says, without restarting", async () => {
    await ward.systemd.systemctl("start", unit);
    const pid = await ward.systemd.show(unit, "MainPID");
    const { effects } = planned(await plan({ MODE: "fast", CACHE_TIMEOUT: "7200" }));
    expect(effects).toEqual([
      'set CACHE_TIMEOUT of app.service, which is not set now, to "7200" until the next boot; it takes effect when the service is next started',
      'set MODE of app.service, which is "ok" now, to "fast" until the next boot; it takes effect when the service is next started',
    ]);
    await set({ MODE: "fast", CACHE_TIMEOUT: "7200" });
    expect(await ward.systemd.show(unit, "MainPID")).toBe(pid);
    expect(await seen()).toMatchObject({ MODE: "fast", CACHE_TIMEOUT: "7200", PORT: String(ward.port) });
  });

  test.each([
    ["reboot", "run"],
    ["durable", "units"],
  ] as const)("until %s writes below the folder for that, and nowhere else", async (kind, _folder) => {
    await set({ GREETING: "hello" }, kind);
    const other = kind === "reboot" ? "durable" : "reboot";
    expect(await readdir(join(folders()[kind], `${unit}.d`))).toHaveLength(1);
    expect(existsSync(join(folders()[other], `${unit}.d`))).toBe(false);
  });

  test("reverting restores what was there before, step by step", async () => {
    const before = await state();
    const first = await set({ MODE: "one" });
    const second = await set({ MODE: "two", GREETING: "hello" });
    expect(second.variables).toEqual([
      { name: "GREETING", value: "hello", before: null },
      { name: "MODE", value: "two", before: "one" },
    ]);
    expect(await action().revert?.(second, context())).toMatchObject({ status: "done" });
    expect(await seen()).toMatchObject({ MODE: "one" });
    expect(await action().revert?.(second, context())).toMatchObject({ status: "done" });
    expect(await action().revert?.(first, context())).toMatchObject({ status: "done" });
    expect(await state()).toEqual(before);
    expect(await seen()).toMatchObject({ MODE: "ok" });
  });

  test("two that set one variable are put back one by one, in both orders", async () => {
    const restack = action().restack;
    if (!restack) throw new Error("it does not stack");
    const revert = async (plan: EnvironmentPlan | null) =>
      plan && expect(await action().revert?.(plan, context())).toMatchObject({ status: "done" });
    const before = await state();

    // The lower one first: MODE stays with the upper one, which puts back what was there before both.
    const first = await set({ MODE: "one", CACHE_TIMEOUT: "1" });
    const second = await set({ MODE: "two", GREETING: "hello" });
    const third = await set({ MODE: "three" });
    const { lower, upper } = restack(first, second);
    expect(lower?.variables.map(({ name }) => name)).toEqual(["CACHE_TIMEOUT"]);
    await revert(lower);
    expect(await seen()).toMatchObject({ MODE: "three", GREETING: "hello" });
    expect(await seen()).not.toHaveProperty("CACHE_TIMEOUT");
    // And one in the middle.
    const middle = restack(upper, third);
    expect(middle.lower?.variables.map(({ name }) => name)).toEqual(["GREETING"]);
    await revert(middle.lower);
    await revert(middle.upper);
    expect(await state()).toEqual(before);

    // The upper one first.
    const low = await set({ MODE: "one" });
    const high = await set({ MODE: "two" });
    await revert(restack(low, high).upperFirst ?? null);
    expect(await seen()).toMatchObject({ MODE: "one" });
    await revert(low);
    expect(await state()).toEqual(before);
  });

  test("what two set to the same value stays until both are put back", async () => {
    const restack = action().restack;
    if (!restack) throw new Error("it does not stack");
    const first = await set({ MODE: "one" });
    const second = await set({ MODE: "one", GREETING: "hello" });
    const { lower, upper, upperFirst } = restack(first, second);
    expect(lower).toBeNull();
    expect(upper).toEqual(second);
    expect(upperFirst?.variables.map(({ name }) => name)).toEqual(["GREETING"]);
  });

  test("those of another unit, of another variable or of another lifetime do not stack", async () => {
    const variable = (name: string) => ({ name, value: "1", before: null });
    const plan = (over: Partial<EnvironmentPlan>): EnvironmentPlan => ({
      unit,
      until: "reboot",
      variables: [variable("MODE")],
      ...over,
    });
    for (const upper of [
      plan({ unit: "other.service" }),
      plan({ until: "durable" }),
      plan({ variables: [variable("GREETING")] }),
    ]) {
      expect(action().restack?.(plan({}), upper)).toMatchObject({ lower: plan({}), upper });
    }
  });

  test("what somebody else has changed since is neither applied over nor reverted", async () => {
    const first = await set({ MODE: "one" });
    await set({ MODE: "two" });
    const path = join(ward.systemd.runUnits, `${unit}.d`, "zz-paramedic-60-MODE.conf");
    const refused = {
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("changed since this was planned"),
    };
    expect(await action().revert?.(first, context())).toMatchObject(refused);
    expect(
      await action().apply({ ...first, variables: [{ name: "MODE", value: "x", before: "y" }] }, context()),
    ).toMatchObject(refused);
    await writeFile(path, "[Service]\nEnvironment=MODE=mine\n");
    expect(await plan({ MODE: "three" })).toMatchObject({ status: "failed", reason: expect.stringContaining(path) });
    expect(await readFile(path, "utf8")).toContain("mine");
  });

  test("a crash between writing and loading is made good, and still knows what to restore", async () => {
    await set({ MODE: "one" });
    const { plan: made } = planned(await plan({ MODE: "two" }));
    const path = join(ward.systemd.runUnits, `${unit}.d`, "zz-paramedic-60-MODE.conf");
    await writeFile(path, dropInText("MODE", { value: "two", before: "one" }));
    const again = planned(await plan({ MODE: "two" }));
    expect(again.plan).toEqual(made);
    expect(again.effects).toHaveLength(1);
    expect(await action().apply(again.plan, context())).toMatchObject({ status: "done" });
    expect(await seen()).toMatchObject({ MODE: "two" });
    expect(await action().revert?.(again.plan, context())).toMatchObject({ status: "done" });
    expect(await seen()).toMatchObject({ MODE: "one" });
  });

  test("a drop-in that wins over it is said, and nothing stays behind", async () => {
    const folder = join(ward.systemd.units, `${unit}.d`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "zzz-mine.conf"), "[Service]\nEnvironment=MODE=mine\n");
    await ward.systemd.systemctl("daemon-reload");
    const before = await state();
    const { plan: made } = planned(await plan({ MODE: "fast" }));
    expect(await action().apply(made, context())).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("Another drop-in of app.service sets MODE and wins"),
    });
    expect(await state()).toEqual(before);
  });

  test.each([
    ["a variable that is not listed", { unit, variables: { LD_PRELOAD: "/tmp/x.so" } }],
    ["one that is listed beside one that is not", { unit, variables: { MODE: "1", PATH: "/tmp" } }],
    ["a unit without listed variables", { unit: "crasher.service", variables: { MODE: "1" } }],
    ["a unit that is not listed", { unit: "bystander.service", variables: { MODE: "1" } }],
  ])("%s is refused", async (_what, input) => {
    const before = await state();
    const refused = { status: "failed", retryable: false };
    expect(await action().plan({ ...input, until: "reboot" } as never, context())).toMatchObject(refused);
    const variables = Object.entries(input.variables).map(([name, value]) => ({ name, value, before: null }));
    const forged = { unit: input.unit, until: "reboot" as const, variables };
    expect(await action().apply(forged, context())).toMatchObject(refused);
    expect(await action().revert?.(forged, context())).toMatchObject(refused);
    expect(await state()).toEqual(before);
  });

  test("a value whose name says that it is a secret is not shown", async () => {
    const target = ward.targetWith({ environment: { [unit]: ["API_TOKEN"] } });
    const result = await action().plan(
      { unit, variables: { API_TOKEN: "hunter2" }, until: "reboot" },
      contextFor(target),
    );
    expect(planned(result).effects.join()).toContain("to a value that is not shown");
    expect(planned(result).effects.join()).not.toContain("hunter2");
  });
});
