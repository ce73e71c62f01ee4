import { join } from "node:path";
import { outlineOf } from "../../src/config/outline.ts";
import { type ConfigFolder, createConfigFolder, minimal } from "../support/config-file.ts";

let files: ConfigFolder;

beforeAll(() => {
  files = createConfigFolder();
});

afterAll(() => files.remove());

const people = `playbooks: ours/
targets: { one: { labels: { service: [a] } }, two: {} }
escalation: { database: [{ after: 0s, email: [a@example.net] }] }
contacts: { paging: { email: [a@example.net] } }
approvers: { dba: { tokens: [cli] } }
api: { tokens: [{ name: cli, role: approver, secret: { env: CLI } }] }
statusPage: { kind: webhook, url: https://status.example.net }
`;
const env = { CLI: "a-token-for-the-cli" };

function outlineOfText(text: string) {
  const loaded = files.load(text, env);
  return "config" in loaded ? outlineOf(loaded.config) : loaded.outline;
}

test("the outline of a configuration with a mistake is the one that it has without", () => {
  const right = outlineOfText(`${minimal}${people}`);
  expect(right).toMatchObject({
    playbooks: join(files.folder, "ours"),
    targets: [{ name: "one", labels: { service: ["a"] } }, { name: "two" }],
    policies: ["database"],
    contacts: ["paging"],
    approvers: ["dba"],
    announces: true,
  });
  const names = (outline: ReturnType<typeof outlineOfText>) => ({
    ...outline,
    targets: outline?.targets.map(({ name, labels }) => [name, Object.keys(labels)]),
  });
  for (const mistake of ["listen: nowhere\n", "slack: {}\n", "email: { smtp: { env: ABSENT }, from: nobody }\n"]) {
    const loaded = files.load(`${minimal}${people}${mistake}`, env);
    expect("problems" in loaded).toBe(true);
    expect(names(outlineOfText(`${minimal}${people}${mistake}`))).toEqual(names(right));
  }
});

test("the names of what is wrong itself count, so that playbooks are not blamed as well", () => {
  const outline = outlineOfText(`${minimal}targets: { one: { host: '' } }\nescalation: { database: [] }\n`);
  expect(outline).toMatchObject({ targets: [{ name: "one" }], policies: ["database"], announces: false });
});

test.each([
  "- a list",
  `${minimal}listen: [`,
  `${minimal}playbooks: 7`,
  `${minimal}targets: [one]`,
  `${minimal}escalation: x`,
  `${minimal}targets: { a: { labels: x } }`,
])("%j has no outline", (text) => {
  expect(outlineOfText(text)).toBeNull();
});
