/** `paramedic polkit`: the rules by which polkit lets Paramedic's user restart exactly the configured units, and nothing else. */

import { execFile } from "node:child_process";
import type { Target } from "../domain/target.ts";

const versionWithinMs = 5_000;
/** The first polkit with rules in JavaScript; before it, a rule cannot tell one unit from another. */
const firstWithRules = 106;

export interface PolkitRequest {
  /** The user that Paramedic runs as. */
  readonly user: string;
  /** Only the units of this host's targets and of those without a host; null: of all. */
  readonly host: string | null;
  readonly targets: readonly Target[];
}

/** Where the command prints. */
export interface PolkitOutput {
  readonly out: (text: string) => void;
  readonly err: (line: string) => void;
}

/** Prints the rules and returns 0; says why there are none and returns 1 (not here) or 2 (a wrong user name). */
export async function printPolkitRules(request: PolkitRequest, { out, err }: PolkitOutput): Promise<number> {
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(request.user)) {
    err("--user must be the name of a user, such as paramedic.");
    return 2;
  }
  const units = unitsOf(request);
  if (units.length === 0) {
    err("No target of this host has systemd.units, so there is nothing to allow.");
    return 1;
  }
  const refusal = refusalOf(await polkitVersion());
  if (refusal) {
    err(refusal);
    return 1;
  }
  out(polkitRules(request));
  return 0;
}

/** Why rules would not hold with the polkit whose `pkaction --version` says this; null where they do. */
export function refusalOf(version: string | null): string | null {
  if (version === null) {
    return "polkit is not installed on this host (there is no pkaction), so systemd would deny everything. Install polkitd and try again.";
  }
  const [, major, minor] = /(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  if (major === undefined)
    return `The version of polkit is not known: pkaction --version printed '${version.slice(0, 80)}'.`;
  if (Number(major) > 0 || Number(minor ?? 0) >= firstWithRules) return null;
  return (
    `polkit ${major}.${minor ?? 0} has no JavaScript rules (they came with 0.${firstWithRules}). It cannot tell one unit or verb from ` +
    "another: who may restart one unit could stop any. systemd.restart is therefore not to be used on this host. " +
    "Upgrade polkit (Debian 12, Ubuntu 24.04)."
  );
}

/** The text of the rules file. */
export function polkitRules(request: PolkitRequest): string {
  const may = request.targets.some(
    (target) => isHere(target, request.host) && Object.keys(target.systemd?.environment ?? {}).length > 0,
  );
  const reload = may
    ? [
        "    // systemd.set-environment has systemd read its unit files again. That names no unit, and the same right lets it",
        "    // reexecute itself; neither ends or starts anything.",
        '    if (action.id === "org.freedesktop.systemd1.reload-daemon") return polkit.Result.YES;',
      ]
    : [];
  return `${[
    "// Made by `paramedic polkit` from paramedic.yaml. Save as /etc/polkit-1/rules.d/50-paramedic.rules, readable by polkitd;",
    "// polkit reads it by itself. Make it anew when the units in paramedic.yaml change.",
    "polkit.addRule(function (action, subject) {",
    `    if (subject.user !== ${JSON.stringify(request.user)}) return polkit.Result.NOT_HANDLED;`,
    ...reload,
    '    if (action.id !== "org.freedesktop.systemd1.manage-units") return polkit.Result.NOT_HANDLED;',
    `    var units = ${JSON.stringify(unitsOf(request))};`,
    "    // Requests that are about no unit, or about more than restarting, carry another verb or none.",
    '    if (action.lookup("verb") !== "restart") return polkit.Result.NO;',
    '    return units.indexOf(action.lookup("unit")) >= 0 ? polkit.Result.YES : polkit.Result.NO;',
    "});",
  ].join("\n")}\n`;
}

function unitsOf({ targets, host }: PolkitRequest): readonly string[] {
  const here = targets.filter((target) => isHere(target, host));
  return [...new Set(here.flatMap(({ systemd }) => systemd?.units ?? []))].sort();
}

function isHere(target: Target, host: string | null): boolean {
  return host === null || target.host === null || target.host === host;
}

/** What `pkaction --version` prints; null where there is none. */
function polkitVersion(): Promise<string | null> {
  return new Promise((resolve) => {
    execFile("pkaction", ["--version"], { timeout: versionWithinMs }, (error, stdout) => {
      resolve(error?.code === "ENOENT" ? null : stdout.trim());
    });
  });
}
