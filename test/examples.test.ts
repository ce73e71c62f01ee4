/** Holds what people copy: every playbook, every example, and every YAML block, command, link and metric in the documents. */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { createActions } from "../src/actions/registry.ts";
import { createApi } from "../src/api/router.ts";
import type { ApiWorld } from "../src/api/world.ts";
import type { Config } from "../src/config/config.ts";
import { loadConfig } from "../src/config/load.ts";
import { outlineOf } from "../src/config/outline.ts";
import { compilePlaybook, loadPlaybooks, readPlaybookFolder } from "../src/playbooks/load.ts";
import type { PlaybookWorld } from "../src/playbooks/read-playbook.ts";
import { createMetrics, type Observed } from "../src/telemetry/metrics.ts";
import { alertmanagerService } from "./support/alertmanager.ts";
import { builtProgram } from "./support/built.ts";
import { createConfigFolder } from "./support/config-file.ts";
import { realService } from "./support/real-service.ts";
import { temporaryFolder } from "./support/run-folder.ts";
import { startServer } from "./support/server.ts";
import { until } from "./support/until.ts";
import { startWebhookServer, token } from "./support/webhook-server.ts";

const root = join(__dirname, "..");
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`),
];
const read = (path: string) => readFileSync(join(root, path), "utf8");

interface Block {
  readonly place: string;
  readonly text: string;
}

/** The blocks of a language, each with the line where it begins. */
function blocks(language: string): readonly Block[] {
  return documents.flatMap((path) =>
    [...read(path).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map((match) => ({
      place: `${path}:${read(path).slice(0, match.index).split("\n").length}`,
      text: match[1] as string,
    })),
  );
}

const yamlBlocks = blocks("yaml").map((block) => ({ ...block, keys: Object.keys(parse(block.text)) }));
const playbookBlocks = yamlBlocks.filter(({ keys }) => keys.includes("steps"));
const configBlocks = yamlBlocks.filter(({ keys }) => keys.includes("alertmanager") || keys.includes("targets"));
/** Of Slack's app; what stands in them is held beside the code that they are for. */
const manifestBlocks = yamlBlocks.filter(({ keys }) => keys.includes("display_information"));

/** A value for each environment variable that a configuration names. */
function environmentOf(text: string): Record<string, string> {
  const names = [...text.matchAll(/\benv: ([A-Z0-9_]+)/g)].map((match) => match[1] as string);
  return Object.fromEntries(names.map((name) => [name, sampleOf(name)]));
}

function sampleOf(name: string): string {
  if (name.endsWith("REDIS_URL")) return "redis://127.0.0.1:1";
  if (name === "SMTP_URL") return "smtps://paramedic@127.0.0.1:1";
  if (name === "HEARTBEAT_URL") return "https://127.0.0.1:1/ping/5f1c0de8";
  return name.endsWith("_URL") ? "postgres://paramedic@127.0.0.1:1/youtility3" : randomBytes(16).toString("hex");
}

function configOf(file: string): Config {
  const loaded = loadConfig({ file: join(root, file), env: environmentOf(read(file)) });
  if ("problems" in loaded) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

function worldOf(config: Config): PlaybookWorld {
  return { actions: createActions({ prometheusUrl: config.prometheus?.url ?? null }), ...outlineOf(config) };
}

describe("the documents", () => {
  test("have YAML blocks that are playbooks, configurations or manifests and nothing else", () => {
    expect(playbookBlocks.length).toBeGreaterThan(3);
    expect(configBlocks.length).toBeGreaterThan(1);
    expect(yamlBlocks.length).toBe(playbookBlocks.length + configBlocks.length + manifestBlocks.length);
  });

  test.each(playbookBlocks)(
    "$place is a playbook without a problem beside the documented configuration",
    ({ text, place }) => {
      const documented = configBlocks.find((block) => block.place.startsWith("docs/operating.md:")) as Block;
      const folder = createConfigFolder();
      try {
        const config = folder.config(documented.text, environmentOf(documented.text));
        expect(compilePlaybook(text, worldOf(config), place).problems).toEqual([]);
      } finally {
        folder.remove();
      }
    },
  );

  test.each(configBlocks)("$place is a configuration without a problem", ({ text }) => {
    const folder = createConfigFolder();
    try {
      expect(folder.problems(text, environmentOf(text))).toEqual([]);
    } finally {
      folder.remove();
    }
  });

  test("name only make targets that exist, and the README both of the first ones", () => {
    const targets = [...read("Makefile").matchAll(/^([a-z0-9-]+):/gm)].map((match) => match[1]);
    const used = documents.flatMap((path) =>
      [...read(path).matchAll(/(?:^|`|[A-Z]=\S+ )make ([a-z0-9-]+)/gm)].map((match) => match[1]),
    );
    expect(used).toEqual(expect.arrayContaining(["demo", "test", "run"]));
    expect(used.filter((name) => !targets.includes(name))).toEqual([]);
  });

  test("name every command of the program, and no other", async () => {
    const program = join(await builtProgram(), "cli.js");
    const { stdout } = await promisify(execFile)(process.execPath, [program, "--help"]);
    const known = [...stdout.slice(stdout.indexOf("Commands:")).matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]);
    const named = documents.flatMap((path) =>
      [...read(path).matchAll(/(?:dist\/cli\.js|`paramedic) ([a-z]+)/g)].map((match) => match[1]),
    );
    expect(new Set([...named, "help"])).toEqual(new Set(known));
  });

  test("name every metric that there is, and no other", async () => {
    const metrics = createMetrics();
    // Whatever is looked up when metrics are read.
    metrics.observe(new Proxy({}, { get: () => async () => 0 }) as Observed);
    const known = [...(await metrics.render()).matchAll(/^# TYPE (paramedic_\w+)/gm)].map((match) => match[1]);
    const named = documents.flatMap((path) => read(path).match(/paramedic_[a-z_]+[a-z]/g) ?? []);
    expect(new Set(named)).toEqual(new Set(known));
  });

  test("show every route of the API", () => {
    const { routes } = createApi({ tokens: [], playbooks: [], targets: [], store: {} } as unknown as ApiWorld);
    const text = read("docs/api.md").replaceAll("$API", "/api/v1");
    const missing = routes.filter(({ path }) => {
      const shape = path.split("/").map((part) => (part.startsWith(":") ? "(\\$[A-Z]+|[a-z][a-z-]+)" : part));
      return !new RegExp(`${shape.join("/")}(?![\\w/])`).test(text);
    });
    expect(missing.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  });

  test("link only to files that exist", () => {
    const broken = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:)([^)#]+)/g)]
        .map((match) => relative(root, join(root, dirname(path), match[1] as string)))
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(broken).toEqual([]);
  });
});

describe("the examples", () => {
  test.each(["examples/paramedic.yaml", "examples/youtility3/paramedic.yaml", "examples/demo/paramedic.yaml"])(
    "%s and the playbooks it names are in order",
    async (file) => {
      const config = configOf(file);
      const folder = await readPlaybookFolder(config.playbooks);
      const loaded = loadPlaybooks(folder.files, worldOf(config));
      // A configuration for a first look has no place where anything could be announced.
      const nowhere = config.slack === null && config.statusPage === null;
      const told = ({ message }: { message: string }) =>
        (!nowhere || !message.startsWith("announce: before has no effect")) &&
        // The demo has nobody to call.
        (config.escalation.size > 0 || !message.startsWith("no escalate"));
      expect([...folder.problems, ...loaded.problems].filter(told)).toEqual([]);
      expect(loaded.playbooks.length).toBeGreaterThan(0);
    },
  );

  test("docker-compose.yml gives Paramedic all that its configuration asks for, and demands every secret", () => {
    const text = read("examples/docker-compose.yml");
    const { services, secrets } = parse(text);
    const given = services.paramedic.environment;
    expect(Object.keys(environmentOf(read("examples/paramedic.yaml").replace(/^\s*#.*$/gm, "")))).toEqual(
      expect.arrayContaining(["ALERTMANAGER_TOKEN", "ONCALL_TOKEN", "YT3_DATABASE_URL"]),
    );
    for (const name of ["ALERTMANAGER_TOKEN", "ONCALL_TOKEN", "YT3_DATABASE_URL"]) {
      expect(given[name]).toMatch(new RegExp(`^\\$\\{${name}:\\?`));
    }
    expect(given.DATABASE_URL).toContain(`@postgres:5432/${services.postgres.environment.POSTGRES_DB}`);
    expect(given.REDIS_URL).toBe("redis://redis:6379");
    expect(services.redis.command.join(" ")).toMatch(/--appendonly yes .*--maxmemory-policy noeviction/);
    const mounted = [...services.paramedic.volumes, ...services.alertmanager.volumes]
      .map((volume: string) => volume.split(":")[0] as string)
      .filter((source) => source.startsWith("./"));
    expect(mounted.filter((source) => !existsSync(join(root, "examples", source)))).toEqual([]);
    expect(secrets.alertmanager_token.environment).toBe("ALERTMANAGER_TOKEN");
    const { receivers } = parse(read("examples/alertmanager.yml"));
    const webhook = receivers.find(({ name }: { name: string }) => name === "paramedic").webhook_configs[0];
    expect(services.alertmanager.secrets[0].target).toBe(webhook.http_config.authorization.credentials_file);
  });
});

realService("amtool (Debian: prometheus-alertmanager)", "amtool").describe("alertmanager.yml", () => {
  test("is in order for amtool", async () => {
    const { stdout } = await promisify(execFile)("amtool", ["check-config", join(root, "examples/alertmanager.yml")]);
    expect(stdout).toContain("SUCCESS");
  });
});

alertmanagerService.describe("a real Alertmanager with alertmanager.yml", () => {
  test("calls Paramedic with the token from its file, and goes on to people", async () => {
    const { route, receivers } = parse(read("examples/alertmanager.yml"));
    const webhook = await startWebhookServer();
    const folder = await temporaryFolder("alertmanager-example");
    writeFileSync(join(folder, "token"), token);
    const [ours, people] = route.routes;
    const settings = receivers.find(({ name }: { name: string }) => name === ours.receiver).webhook_configs[0];
    expect(new URL(settings.url).pathname).toBe("/webhooks/alertmanager");
    expect(people.receiver).toBe("people");
    expect(ours.continue).toBe(true);
    settings.url = `http://127.0.0.1:${webhook.port}/webhooks/alertmanager`;
    settings.http_config.authorization.credentials_file = join(folder, "token");
    ours.group_wait = "100ms";
    const file = join(folder, "alertmanager.yml");
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ route, receivers }));
    const alertmanager = await startServer({
      command: "prometheus-alertmanager",
      args: (port) => [
        `--config.file=${file}`,
        `--storage.path=${join(folder, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--cluster.listen-address=",
      ],
      cwd: folder,
      ready: async (port) => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok,
    });
    try {
      const alert = (severity: string) => ({ labels: { alertname: "DatabaseOverload", severity, service: "yt3" } });
      const posted = await fetch(`http://127.0.0.1:${alertmanager.port}/api/v2/alerts`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify([alert("critical"), alert("info")]),
      });
      expect(posted.status).toBe(200);
      await until(() => webhook.deliveries.length > 0, { what: "the notification" });
      expect(webhook.deliveries.flatMap(({ alerts }) => alerts.map(({ labels }) => labels["severity"]))).toEqual([
        "critical",
      ]);
      expect(webhook.counted.codes).toEqual([200]);
    } finally {
      await alertmanager.stop();
      await webhook.close();
    }
  });
});
