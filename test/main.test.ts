import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check } from "../src/main.ts";
import { type ConfigFolder, createConfigFolder, minimal } from "./support/config-file.ts";

let files: ConfigFolder;

beforeEach(() => {
  files = createConfigFolder();
  process.env["ALERTMANAGER_TOKEN"] = "a-long-random-token-1";
  mkdirSync(join(files.folder, "playbooks"));
});

afterEach(() => {
  delete process.env["ALERTMANAGER_TOKEN"];
  files.remove();
});

const playbook = `name: look
summary: Looks.
on: { request: true }
target: one
steps: [{ id: activity, do: postgres.activity }]
`;

/** What `paramedic check` prints, with the folder left out, and its exit code. */
async function checked(config: string, text: string): Promise<{ lines: readonly string[]; code: number }> {
  writeFileSync(join(files.folder, "playbooks/look.yaml"), text);
  const file = files.write("paramedic.yaml", config);
  const written: string[] = [];
  const spy = jest.spyOn(process.stdout, "write").mockImplementation((line) => {
    written.push(String(line));
    return true;
  });
  try {
    const code = await check({ file });
    return { lines: written.join("").replaceAll(`${files.folder}/`, "").trimEnd().split("\n"), code };
  } finally {
    spy.mockRestore();
  }
}

describe("check", () => {
  test("says that everything is in order", async () => {
    expect(await checked(`${minimal}targets: { one: {} }\n`, playbook)).toEqual({
      lines: ["1 targets and 1 playbooks are in order"],
      code: 0,
    });
  });

  test("says what is wrong with the playbooks beside what is wrong with the configuration", async () => {
    const config = `${minimal}listen: nowhere\ntargets: { one: { host: '' } }\n`;
    expect(await checked(config, playbook.replace("postgres.activity", "postgres.activty"))).toEqual({
      lines: [
        expect.stringMatching(/^paramedic.yaml:2: listen: must be/),
        expect.stringMatching(/^paramedic.yaml:3: targets.one.host: must not be empty/),
        expect.stringMatching(/^playbooks\/look.yaml:5: there is no action 'postgres.activty'/),
      ],
      code: 1,
    });
    expect((await checked(config, playbook)).code).toBe(1);
  });

  test("says that the playbooks were not looked at where nothing is known to check them against", async () => {
    expect(await checked(`${minimal}targets: [one]\n`, "no playbook")).toEqual({
      lines: [
        expect.stringMatching(/^paramedic.yaml:2: targets: /),
        expect.stringMatching(/^the playbooks were not looked at/),
      ],
      code: 1,
    });
  });

  test("names files that are no playbooks but look like some", async () => {
    writeFileSync(join(files.folder, "playbooks/other.yml"), playbook);
    const { lines, code } = await checked(`${minimal}targets: { one: {} }\n`, playbook);
    expect(lines[0]).toMatch(/^playbooks\/other.yml:1: the file is not read.*\(warning\)$/);
    expect(code).toBe(0);
  });
});
