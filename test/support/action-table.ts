/** `docs/actions.md`, as the registry has it: one row per action, with its inputs and what it sees. */

import * as z from "zod";
import { createActions } from "../../src/actions/registry.ts";
import type { Action } from "../../src/domain/action.ts";

interface Property {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
}

const beginning = `# Actions

Everything that a step or a check of a playbook can do. This page is written from the registry: \`UPDATE=1 npx jest test/actions/documented\` writes it anew, and a test holds it current. [playbooks.md](playbooks.md) tells how actions are used, [postgres.md](postgres.md), [redis-and-django.md](redis-and-django.md), [http-files-and-deploys.md](http-files-and-deploys.md) and [operating.md](operating.md) what each needs of its target.

An action _observes_, or it _changes_. High and irreversible risks ask people unless the playbook says otherwise; irreversible ones always do. A change that is repeated _safely_ is planned and applied again after a crash; one that may be done only _once_ is looked for first. What can be put back makes a mitigation with \`revert_after\` or \`revert_on\`. What works on the host is done by the worker that was started with the target's \`host\`.

`;

const heads = ["action", "does", "kind", "inputs"];

/** The whole page. */
export function actionTable(): string {
  const actions = [...createActions({ prometheusUrl: null }).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return `${beginning}${aligned([heads, ...actions.map(row)]).join("\n")}\n`;
}

/** A table as the formatter has it: every column as wide as its widest cell. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = heads.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...rest] = rows;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rest.map(line)];
}

function row(action: Action): readonly string[] {
  return [`\`${action.name}\``, cell(action.summary), kindOf(action), inputsOf(action)];
}

function kindOf(action: Action): string {
  const host = action.onHost ? ["on the host"] : [];
  if (action.kind === "observe") return ["observes", ...host].join(", ");
  const risk = action.riskOf
    ? `up to ${action.risk} risk`
    : action.risk === "irreversible"
      ? "irreversible"
      : `${action.risk} risk`;
  const repeat = action.repeat === "safe" ? "repeated safely" : "once";
  return ["changes", risk, repeat, ...(action.revert ? ["can be put back"] : []), ...host].join(", ");
}

function inputsOf(action: Action): string {
  const schema = z.toJSONSchema(action.input as unknown as z.ZodType, {
    io: "input",
    unrepresentable: "any",
  }) as ObjectSchema;
  const required = new Set(schema.required ?? []);
  const inputs = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const rest =
      property.default === undefined ? (required.has(name) ? "" : "?") : ` = ${JSON.stringify(property.default)}`;
    return `\`${name}\` ${typeOf(property)}${rest}`;
  });
  return cell(inputs.join(", ") || "none");
}

function typeOf({ type, enum: values }: Property): string {
  if (values) return values.map((value) => JSON.stringify(value)).join(" or ");
  return Array.isArray(type) ? type.join(" or ") : String(type ?? "any");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replace(/\s+/g, " ");
}
