#!/usr/bin/env node
/** Parses the command line and starts what it asks for. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration. */

import { createInterface } from "node:readline/promises";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { createClient } from "./cli/client.ts";
import {
  acknowledgeRun,
  cancelRun,
  decideMitigation,
  decideRun,
  listMitigations,
  listRuns,
  setSwitch,
  showRun,
  startRun,
  type Terminal,
} from "./cli/commands.ts";
import { printPolkitRules } from "./cli/polkit.ts";
import { clientSettings } from "./config/client.ts";
import { configurationFile } from "./config/configuration-file.ts";
import { formatProblem } from "./config/problems.ts";
import { parseDuration } from "./domain/duration.ts";
import type { Role } from "./main.ts";

const program = new Command("paramedic")
  .description("The first responder of an on-call team.")
  .showHelpAfterError("(`paramedic help` lists the commands)")
  .exitOverride();

/** A command that reads the configuration, which is named by an argument or, as scripts do, by `--config`. */
function configuredCommand(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument("[path]", "the configuration file, or its folder")
    .addOption(new Option("--config <path>", "the same").default(undefined, "paramedic.yaml, where there is one"));
}

function named(path: string | undefined, { config }: { readonly config?: string }): string | null {
  if (path !== undefined && config !== undefined)
    throw new InvalidArgumentError("The configuration is named twice: give the path, or --config.");
  return path ?? config ?? null;
}

configuredCommand("serve", "receive alerts, run playbooks and serve the API until stopped")
  .addOption(
    new Option("--role <role>", "what this process does").choices(["all", "receiver", "worker"]).default("all"),
  )
  .option("--host <name>", "the host whose steps this worker serves too", hostName)
  .action(async (path: string | undefined, options: { config?: string; role: Role; host?: string }) => {
    // Loaded only here: the commands that speak with a running service should answer at once.
    const { serve } = await import("./main.ts");
    process.exitCode = await serve({ file: named(path, options), role: options.role, host: options.host ?? null });
  });

configuredCommand("check", "load configuration and playbooks and print every problem as file:line: message").action(
  async (path: string | undefined, options: { config?: string }) => {
    const { check } = await import("./main.ts");
    process.exitCode = await check({ file: named(path, options) });
  },
);

configuredCommand("migrate", "apply the database migrations and exit").action(
  async (path: string | undefined, options: { config?: string }) => {
    const { migrateOnly } = await import("./main.ts");
    process.exitCode = await migrateOnly({ file: named(path, options) });
  },
);

configuredCommand("polkit", "print the polkit rules that let a user restart the configured units and nothing else")
  .requiredOption("--user <name>", "the user that Paramedic runs as")
  .option("--host <name>", "only the units of this host's targets", hostName)
  .action(async (path: string | undefined, options: { config?: string; user: string; host?: string }) => {
    const { loadConfig } = await import("./config/load.ts");
    const loaded = loadConfig({ file: configurationFile(named(path, options)) });
    if ("problems" in loaded) {
      for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`);
      process.exitCode = 2;
      return;
    }
    process.exitCode = await printPolkitRules(
      { user: options.user, host: options.host ?? null, targets: loaded.config.targets },
      { out: (text) => void process.stdout.write(text), err: (line) => void process.stderr.write(`${line}\n`) },
    );
  });

interface ClientOptions {
  readonly url?: string;
  readonly json?: boolean;
}

/** A command that speaks with a running Paramedic, as the owner of PARAMEDIC_TOKEN. */
function clientCommand(usage: string, description: string): Command {
  return program
    .command(usage)
    .description(description)
    .option("--url <url>", "where Paramedic listens (PARAMEDIC_URL; else http://127.0.0.1:9095)")
    .option("--json", "print the API's JSON");
}

async function speak(options: ClientOptions, command: (terminal: Terminal) => Promise<number>): Promise<void> {
  const found = clientSettings({ url: options.url ?? null });
  if ("problem" in found) {
    process.stderr.write(`${found.problem}\n`);
    process.exitCode = 2;
    return;
  }
  process.exitCode = await command({
    client: createClient(found.settings),
    json: options.json ?? false,
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    confirm,
  });
}

clientCommand("runs", "list the newest runs")
  .option("--state <state>", "ready, running, waiting or ended")
  .option("--outcome <outcome>", "only those that ended so")
  .option("--playbook <name>")
  .option("--target <name>")
  .option("--limit <number>", "how many", "20")
  .action(({ url, json, ...filter }: ClientOptions & Record<string, string>) =>
    speak({ ...(url ? { url } : {}), ...(json ? { json: true } : {}) }, (terminal) => listRuns(terminal, filter)),
  );

clientCommand("show <run>", "tell the story of a run")
  .option("--follow", "go on telling until it ends; exit 0 only where it is fixed or there was nothing to do")
  .action((run: string, options: ClientOptions & { follow?: boolean }) =>
    speak(options, (terminal) => showRun(terminal, run, options.follow ?? false)),
  );

clientCommand("run <playbook> [target] [inputs...]", "start a playbook; inputs are name=value")
  .requiredOption("--reason <text>", "why, for those who read the run afterwards")
  .option("--dry-run", "plan everything, change nothing")
  .option("--follow", "tell its story until it ends")
  .action(
    (
      playbook: string,
      target: string | undefined,
      inputs: string[],
      options: ClientOptions & { reason: string; dryRun?: boolean; follow?: boolean },
    ) =>
      speak(options, (terminal) =>
        startRun(terminal, {
          playbook,
          target: target === undefined || target.includes("=") ? null : target,
          inputs: target?.includes("=") ? [target, ...inputs] : inputs,
          reason: options.reason,
          dryRun: options.dryRun ?? false,
          follow: options.follow ?? false,
        }),
      ),
  );

clientCommand("cancel <run>", "stop a run before its next change")
  .requiredOption("--reason <text>", "why")
  .action((run: string, options: ClientOptions & { reason: string }) =>
    speak(options, (terminal) => cancelRun(terminal, run, options.reason)),
  );

clientCommand("ack <run>", "say that you have what was handed over to people").action(
  (run: string, options: ClientOptions) => speak(options, (terminal) => acknowledgeRun(terminal, run)),
);

clientCommand("mitigations", "show what is changed for a time")
  .option("--all", "also what was put back or kept")
  .action((options: ClientOptions & { all?: boolean }) =>
    speak(options, (terminal) => listMitigations(terminal, options.all ?? false)),
  );

for (const [decision, what] of [
  ["revert", "put back now what was changed for a time"],
  ["keep", "keep for good what was changed for a time"],
] as const) {
  clientCommand(`${decision} <mitigation>`, what)
    .requiredOption("--reason <text>", "why")
    .action((mitigation: string, options: ClientOptions & { reason: string }) =>
      speak(options, (terminal) => decideMitigation(terminal, mitigation, decision, options.reason)),
    );
}

for (const decision of ["approve", "decline"] as const) {
  clientCommand(`${decision} <run>`, `show what a run asks for and ${decision} exactly that`)
    .option("--reason <text>", "why")
    .option("--yes", "do not ask again")
    .action((run: string, options: ClientOptions & { reason?: string; yes?: boolean }) =>
      speak(options, (terminal) =>
        decideRun(terminal, run, decision, { reason: options.reason ?? null, yes: options.yes ?? false }),
      ),
    );
}

clientCommand("pause [duration]", "turn the kill switch on: nothing is started any more")
  .requiredOption("--reason <text>", "why")
  .action((duration: string | undefined, options: ClientOptions & { reason: string }) =>
    speak(options, (terminal) =>
      setSwitch(terminal, { paused: true, reason: options.reason, until: duration ? untilOf(duration) : null }),
    ),
  );

clientCommand("resume", "turn the kill switch off")
  .option("--reason <text>", "why", "resumed on the command line")
  .action((options: ClientOptions & { reason: string }) =>
    speak(options, (terminal) => setSwitch(terminal, { paused: false, reason: options.reason, until: null })),
  );

function untilOf(duration: string): string {
  const ms = parseDuration(duration);
  if (ms === null) throw new InvalidArgumentError("a duration is needed, such as 30m or 2h.");
  return new Date(Date.now() + ms).toISOString();
}

async function confirm(question: string): Promise<boolean | null> {
  if (!process.stdin.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim());
  } finally {
    terminal.close();
  }
}

function hostName(value: string): string {
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/.test(value)) throw new InvalidArgumentError("a host name is needed.");
  return value;
}

// `paramedic runs | head` closes our output early; that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  if (error instanceof InvalidArgumentError) process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
