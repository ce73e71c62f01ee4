/** Starts a process: reads the configuration, starts the app, turns signals into an orderly stop with a hard end. */

import { checkPlaybooks, migrateDatabase, type Role, StartRefused, startApp } from "./app.ts";
import type { Config } from "./config/config.ts";
import { configurationFile } from "./config/configuration-file.ts";
import { type LoadedConfig, loadConfig } from "./config/load.ts";
import { outlineOf } from "./config/outline.ts";
import { formatProblem } from "./config/problems.ts";
import { createLogger, type Logger } from "./log.ts";

export type { Role } from "./app.ts";

/** What an orderly stop may take beyond the drain, before the process ends itself. Leases make that safe. */
const hardEndAfterDrainMs = 5_000;
/** What may be left open after an orderly stop is given this long to close. */
const lingerMs = 500;

/** Serves until SIGTERM or SIGINT. Resolves with the exit code. */
export async function serve(options: {
  readonly file: string | null;
  readonly role: Role;
  readonly host: string | null;
}): Promise<number> {
  const config = read(options.file);
  if (!config) return 2;
  const log = createLogger({ level: config.log.level, secrets: config.secrets });
  for (const warning of config.warnings) {
    log.warn(
      { file: warning.file, line: warning.line, problem: warning.message },
      "the configuration has something that may not do what is expected of it",
    );
  }
  endOnBugs(log);
  const stopped = signalled(log);
  // From the signal on, also where it comes during the start.
  void stopped.then(() => endHard(log, config.worker.drainMs + hardEndAfterDrainMs));
  try {
    const app = await startApp(config, { role: options.role, host: options.host, log });
    log.info({ url: app.url, role: options.role }, "Paramedic is up");
    await stopped;
    await app.stop();
    log.info({}, "Paramedic has stopped");
    // A queue whose Redis is away goes on connecting (bullmq#4656), which would keep the process alive for nothing.
    setTimeout(() => process.exit(0), lingerMs).unref();
    return 0;
  } catch (error) {
    if (error instanceof StartRefused) {
      for (const line of error.problems) print(line);
      log.fatal({ problems: error.problems.length }, "the start was refused; every problem is listed above");
      return 2;
    }
    log.fatal({ err: error as Error }, "the start failed");
    return 1;
  }
}

/** Prints every problem of configuration and playbooks as `file:line: message`. */
export async function check(options: { readonly file: string | null }): Promise<number> {
  const loaded = load(options.file);
  const wrong = "config" in loaded ? [] : loaded.problems;
  const outline = "config" in loaded ? outlineOf(loaded.config) : loaded.outline;
  for (const problem of wrong) print(formatProblem(problem));
  if (outline === null) {
    print("the playbooks were not looked at: for that, the configuration must be in better order");
    return 1;
  }
  const { problems, warnings, playbooks } = await checkPlaybooks(outline);
  const warned = "config" in loaded ? loaded.config.warnings.map(formatProblem) : [];
  for (const line of [...warned, ...warnings]) print(`${line} (warning)`);
  for (const line of problems) print(line);
  if (wrong.length + problems.length > 0) return 1;
  print(`${outline.targets.length} targets and ${playbooks} playbooks are in order`);
  return 0;
}

/** Applies the migrations. */
export async function migrateOnly(options: { readonly file: string | null }): Promise<number> {
  const config = read(options.file);
  if (!config) return 2;
  const log = createLogger({ level: config.log.level, secrets: config.secrets });
  try {
    const applied = await migrateDatabase(config, log);
    print(applied.length > 0 ? `applied ${applied.join(", ")}` : "the database is up to date");
    return 0;
  } catch (error) {
    log.fatal({ err: error as Error }, "the migration failed");
    return 1;
  }
}

/** The configuration, or null after its problems were printed. */
function read(file: string | null): Config | null {
  const loaded = load(file);
  if ("config" in loaded) return loaded.config;
  for (const problem of loaded.problems) print(formatProblem(problem));
  return null;
}

function load(file: string | null): LoadedConfig {
  return loadConfig({ file: configurationFile(file) });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
function signalled(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: string) => {
      if (asked) process.exit(1);
      asked = true;
      log.info({ signal }, "stopping: no new run is started, steps under way may finish");
      resolve();
    };
    process.on("SIGTERM", () => onSignal("SIGTERM"));
    process.on("SIGINT", () => onSignal("SIGINT"));
  });
}

/** Ends the process after a time, unless it has ended by then. */
function endHard(log: Logger, afterMs: number): void {
  setTimeout(() => {
    log.error({ afterMs }, "the stop took too long; ending hard");
    process.exit(1);
  }, afterMs).unref();
}

/** A bug that nobody caught may have left anything behind in this process; another process takes its runs over. */
function endOnBugs(log: Logger): void {
  const end = (error: unknown) => {
    log.fatal({ err: error as Error }, "a bug that nobody caught; ending at once");
    process.exit(1);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}
