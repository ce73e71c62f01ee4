#!/usr/bin/env node
/** Parses the command line and starts what it asks for. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration. */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { check, migrateOnly, type Role, serve } from "./main.ts";

const program = new Command("paramedic")
  .description("The first responder of an on-call team.")
  .showHelpAfterError("(`paramedic help` lists the commands)")
  .exitOverride();

const configOption = () =>
  new Option("--config <file>", "the configuration file").default(undefined, "paramedic.yaml, where there is one");

program
  .command("serve")
  .description("receive alerts, run playbooks and serve the API until stopped")
  .addOption(configOption())
  .addOption(
    new Option("--role <role>", "what this process does").choices(["all", "receiver", "worker"]).default("all"),
  )
  .option("--host <name>", "the host whose steps this worker serves too", hostName)
  .action(async (options: { config?: string; role: Role; host?: string }) => {
    process.exitCode = await serve({ file: options.config ?? null, role: options.role, host: options.host ?? null });
  });

program
  .command("check")
  .description("load configuration and playbooks and print every problem as file:line: message")
  .addOption(configOption())
  .action(async (options: { config?: string }) => {
    process.exitCode = await check({ file: options.config ?? null });
  });

program
  .command("migrate")
  .description("apply the database migrations and exit")
  .addOption(configOption())
  .action(async (options: { config?: string }) => {
    process.exitCode = await migrateOnly({ file: options.config ?? null });
  });

function hostName(value: string): string {
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/.test(value)) throw new InvalidArgumentError("a host name is needed.");
  return value;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
