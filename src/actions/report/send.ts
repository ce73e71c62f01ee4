/** `report.send`: a report for people, which stays with the run and is told to a contact of the configuration. */

import { z } from "zod";
import type { ChangeAction, Failure } from "../../domain/action.ts";
import { units } from "../../domain/quantity.ts";
import type { Report, ReportTo } from "../../domain/report.ts";
import { lasting, passing } from "../failure.ts";
import { type Given, reportOf } from "./report-of.ts";

/** The contacts of the configuration, each with the ways by which it is reached. */
export type ContactWays = ReadonlyMap<string, readonly string[]>;

const reportWays = ["email", "slack"];
const mostPlots = 6;
const mostColumns = 6;

const window = z.object({ average: z.number(), maximum: z.number(), values: z.array(z.number().nullable()).max(500) });

const plot = z.strictObject({
  title: z.string().trim().min(1).max(80),
  unit: z.enum(units),
  /** What `prometheus.range` saw. */
  of: window.extend({
    endsAt: z.iso.datetime(),
    stepSeconds: z.number().positive(),
    before: window.optional(),
    change: z.number().optional(),
  }),
});

function inputWith(contacts: ContactWays | null) {
  return z.strictObject({
    /** A contact of the configuration. */
    to: z.string().refine((name) => contacts === null || contacts.has(name), {
      error: `the configuration has no such contact; it has ${[...(contacts?.keys() ?? [])].join(", ") || "none"}`,
    }),
    /** Not in Slack: only by e-mail, and at the run. */
    quiet: z.boolean().default(false),
    /** What matters, in up to three sentences. */
    points: z.array(z.string()).min(1).max(3),
    table: z
      .strictObject({
        columns: z.array(z.string().max(40)).min(1).max(mostColumns),
        rows: z.array(z.array(z.string()).max(mostColumns)).max(10_000),
      })
      .optional(),
    plots: z.array(plot).max(mostPlots).default([]),
  });
}

type Input = z.output<ReturnType<typeof inputWith>>;
type Plan = { readonly to: ReportTo; readonly report: Report };

/** `report.send` to these contacts; null: they are not known, as where playbooks are read without a configuration. */
export function reportSend(contacts: ContactWays | null): ChangeAction<Input, Plan> {
  return {
    name: "report.send",
    summary: "Reports to a contact, in Slack and by e-mail with a table and plots.",
    input: inputWith(contacts),
    kind: "change",
    risk: "low",
    repeat: "safe",
    tells: true,
    plan: async (input, { signal }) => {
      if (signal.aborted) return passing("Stopped before the report was made.");
      const configured = contacts?.get(input.to);
      if (!configured) return unknownContact(input.to);
      const ways = reportWays.filter((way) => configured.includes(way) && !(input.quiet && way === "slack"));
      const report = reportOf(input satisfies Given);
      const told = ways.length > 0 ? `report to ${input.to} by ${ways.join(" and ")}` : "report at the run alone";
      return {
        status: "planned",
        plan: { to: { contact: input.to, ways }, report },
        effects: [told, ...report.points],
      };
    },
    apply: async ({ to, report }, { signal }) => {
      if (signal.aborted) return passing("Stopped before the report was given to those who tell it.");
      if (!contacts?.has(to.contact)) return unknownContact(to.contact);
      return { status: "done", result: report, report: to };
    },
  };
}

function unknownContact(name: string): Failure {
  return lasting(`The configuration has no contact '${name}'. Add it to \`contacts\`.`);
}
