import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { createActions } from "../../src/actions/registry.ts";
import { stoppedElsewhere } from "./contract.ts";

const folder = join(__dirname, "../../src/actions");
const actions = createActions({ prometheusUrl: null });
const all = [...actions];

/** The names of the actions that each file of the system folders declares. */
function declaredActions(): Map<string, string[]> {
  const systems = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const files = systems.flatMap(({ name }) => readdirSync(join(folder, name)).map((file) => `${name}/${file}`));
  const named = files.map((file): [string, string[]] => {
    const source = readFileSync(join(folder, file), "utf8");
    return [file, [...source.matchAll(/^\s+name: "([^"]+)",\n\s+summary:/gm)].map((match) => match[1] as string)];
  });
  return new Map(named.filter(([, names]) => names.length > 0));
}

test("holds every action that a file of src/actions declares, one for each file, which is named for it", () => {
  const declared = declaredActions();
  expect([...declared.values()].flat().sort()).toEqual([...actions.keys()].sort());
  for (const [file, names] of declared) {
    expect([file, names]).toEqual([file, [file.replace("/", ".").replace(/\.ts$/, "")]]);
  }
});

/** The actions of which a test file calls the contract suite, as it is written there. */
function heldToTheContract(): readonly string[] {
  const files = readdirSync(__dirname, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".test.ts"),
  );
  const texts = files.map((file) => readFileSync(join(__dirname, file), "utf8"));
  return texts.flatMap((text) =>
    [...text.matchAll(/^ *describeContract\("([^"]+)"/gm)].map((match) => match[1] as string),
  );
}

test("every action is held to the contract by a test of its own", () => {
  expect([...new Set(heldToTheContract())].sort()).toEqual([...actions.keys()].sort());
});

test("every change that its contract does not stop midway is stopped so by a test of its own, or nothing can", () => {
  for (const [name, where] of Object.entries(stoppedElsewhere)) {
    expect([name, actions.get(name)?.kind]).toEqual([name, "change"]);
    if (typeof where !== "string")
      expect(readFileSync(join(__dirname, where.file), "utf8")).toContain(`"${where.test}"`);
  }
});

describe.each(all)("%s", (name, action) => {
  test("is named system.verb-object and says what it does in one sentence", () => {
    expect(action.name).toBe(name);
    expect(name).toMatch(/^[a-z]+\.[a-z]+(-[a-z]+)*$/);
    expect(action.summary).toMatch(/^[A-Z][^.!?]*\.$/);
    expect(action.summary.length).toBeLessThanOrEqual(120);
  });

  test("takes a strict object of plain JSON", () => {
    expect(action.input).toBeInstanceOf(z.ZodObject);
    const schema = z.toJSONSchema(action.input as z.ZodObject, { io: "input" });
    expect(schema).toMatchObject({ type: "object", additionalProperties: false });
  });

  test("can be probed where it must not be done twice", () => {
    if (action.kind !== "change") return;
    expect(["safe", "once"]).toContain(action.repeat);
    expect(["low", "high", "irreversible"]).toContain(action.risk);
    if (action.repeat === "once") expect(action.probe).toBeInstanceOf(Function);
  });

  test("says how it stacks where it can be put back", () => {
    if (action.kind !== "change") return;
    expect(action.restack !== undefined).toBe(action.revert !== undefined);
  });

  test("is done on the host where it works on the host itself, and only then", () => {
    const system = name.split(".")[0] as string;
    const atFiles = ["postgres.backup", "postgres.restore"].includes(name);
    const onHost = atFiles || ["systemd", "django", "files", "logs", "deploy"].includes(system);
    expect(action.onHost).toBe(onHost ? true : undefined);
  });

  test("says what it observes as an object of plain JSON", () => {
    if (action.kind !== "observe") return;
    expect(action.output).toBeInstanceOf(z.ZodObject);
    expect(z.toJSONSchema(action.output as z.ZodObject)).toMatchObject({ type: "object" });
  });
});
