/** The grammar of a playbook as a zod schema, and as the JSON Schema that editors complete from. Unknown keys are errors. */

import * as z from "zod";
import { parseDuration } from "../domain/duration.ts";
import { isFieldName } from "./cel-types.ts";

const duration = z
  .string({ error: "must be a duration such as 90s, 10m, 2h or 7d" })
  .regex(/^\d{1,8}(s|m|h|d)$/, { error: "is not a duration; write one such as 90s, 10m, 2h or 7d" })
  .refine((text) => parseDuration(text) !== null, { error: "is longer than 366 days" });

const positiveDuration = duration.refine((text) => parseDuration(text) !== 0, { error: "must be longer than 0s" });

const text = (longest: number) =>
  z
    .string()
    .max(longest, { error: `is longer than ${longest} characters` })
    .regex(/\S/, { error: "is empty" });

const condition = text(2_000);

const fieldName = /^[a-zA-Z][a-zA-Z0-9_]*$/;

const input = z
  .record(z.string(), z.json())
  .describe(`The action's input. A value that is one whole \${{ … }} is a CEL expression over steps and inputs.`);

const stepTimeout = positiveDuration
  .refine((text) => (parseDuration(text) ?? 0) <= 24 * 3_600_000, { error: "is longer than 24 hours" })
  .describe("How long each call of the action may take; 60s where it is left out.");

const revertReason = z.enum(["resolved", "verified", "declined"], { error: "must be resolved, verified or declined" });

/** One entry of `steps`. */
export const stepSchema = z
  .strictObject({
    id: z
      .string()
      .max(40, { error: "is longer than 40 characters" })
      .regex(/^[a-z][a-zA-Z0-9_]*$/, {
        error: "must be a small letter followed by letters, digits and underscores, so that steps.<id> can be written",
      })
      .refine(isFieldName, { error: "is a reserved word of CEL" })
      .describe("The name of this step in conditions (steps.<id>) and in the run's history. Unique in the playbook."),
    do: text(100).describe("The action, such as postgres.cancel-queries."),
    if: condition.optional().describe("A condition in CEL; the step is skipped where it does not hold."),
    with: input.optional(),
    found: condition
      .optional()
      .describe("What the observation means, for people: a CEL expression over output that gives a text."),
    optional: z
      .boolean({ error: "must be true or false" })
      .optional()
      .describe("For observations: where it cannot be made, the run goes on without it; false where it is left out."),
    approval: z
      .enum(["by-risk", "always", "never"], { error: "must be by-risk, always or never" })
      .optional()
      .describe("Whether people are asked before a change: by-risk (default), always or never."),
    revert_after: positiveDuration
      .optional()
      .describe("What the step changed is put back after this time: the change is a mitigation."),
    revert_on: z
      .union([revertReason, z.array(revertReason).min(1, { error: "is empty" }).max(3)], {
        error: "must be resolved, verified, declined, or a list of them",
      })
      .optional()
      .describe(
        "When what the step changed is put back: the alert resolves, the run is verified to have helped, or a later step is declined or nobody answers; with revert_after, whichever comes first.",
      ),
    timeout: stepTimeout.optional(),
  })
  .describe("One use of an action. Steps run in order; the first that fails, unless it is optional, ends the run.");

/** One entry of `verify`. */
export const checkSchema = z
  .strictObject({
    do: text(100).describe("An action that observes."),
    with: input.optional(),
    expect: condition.describe("A condition in CEL over output, what the action saw."),
    found: condition
      .optional()
      .describe("What the measurement means, for people: a CEL expression over output that gives a text."),
    within: positiveDuration.optional().describe("How long it may take until the condition holds; 1m where left out."),
    every: positiveDuration
      .optional()
      .describe("How long to wait between two measurements; a tenth of within, from 1s to 15s, where left out."),
    timeout: stepTimeout.optional(),
  })
  .describe("One measurement of success: what must hold of an observation, within a time.");

const inputType = z.enum(["string", "number", "integer", "boolean"], {
  error: "must be string, number, integer or boolean",
});

/** One input of a request, in its long form. */
export const inputDeclarationSchema = z
  .strictObject({
    type: inputType,
    description: text(500).optional().describe("What the input means, for people."),
    default: z
      .union([z.string(), z.number(), z.boolean()], { error: "must be a text, a number, true or false" })
      .optional()
      .describe("Used where a request does not give the input."),
    required: z.boolean().optional().describe("Whether a request must give it; true where there is no default."),
  })
  .describe("One input of a request.");

/** What may start a playbook. */
export const startsSchema = z
  .strictObject({
    alerts: z
      .array(
        z
          .string({ error: "must be a matcher in quotes, such as 'alertname=\"DatabaseOverload\"'" })
          .regex(/\S/, { error: "is empty" }),
        { error: "must be a list of matchers" },
      )
      .min(1, { error: "is empty; an empty selection is an error, never every alert" })
      .max(20, { error: "has more than 20 matchers" })
      .optional()
      .describe("Matchers in Alertmanager's syntax, all of which must hold."),
    request: z
      .literal(true, { error: "must be true, or left out" })
      .optional()
      .describe("Engineers may start it over REST."),
    inputs: z
      .record(
        z
          .string()
          .max(40, { error: "is longer than 40 characters" })
          .regex(fieldName, { error: "must be letters, digits and underscores" })
          .refine(isFieldName, { error: "is a reserved word of CEL" }),
        z.union([inputType, inputDeclarationSchema], {
          error: "must be a type, or { type, description, default, required }",
        }),
      )
      .optional()
      .describe("What a request may give; conditions and with see it as inputs.<name>."),
    requires: condition
      .optional()
      .describe("A condition in CEL over inputs; a request whose inputs do not meet it is refused."),
    schedule: text(200)
      .optional()
      .describe(
        "A cron expression of five fields, such as 0 2 * * *: when it starts by itself, one run per occurrence.",
      ),
    timezone: text(100)
      .optional()
      .describe("The IANA time zone of the schedule, such as Europe/Berlin; UTC where left out."),
    missed: z
      .enum(["run", "skip"], { error: "must be run or skip" })
      .optional()
      .describe("What becomes of an occurrence that nobody was there for: skip (default), or run once, late."),
  })
  .describe("What starts the playbook: alerts, requests, a schedule.");

const targetSchema = z
  .union(
    [
      text(200).describe("The name of a target in the configuration."),
      z.strictObject({ label: text(200).describe("The label of the alert whose value selects a target.") }),
      z.strictObject({ name: text(200).describe("The name of a target in the configuration.") }),
    ],
    { error: "must be { label: NAME } or the name of a target in the configuration" },
  )
  .describe("The system to act upon: looked up by a label of the alert, or one fixed name.");

const policyName = text(200).describe("The name of an escalation policy of the configuration.");

/** The long form of `escalate`. */
export const escalateSchema = z.strictObject({
  policy: policyName,
  hold: positiveDuration
    .optional()
    .describe("People are also told when the run has not verifiably fixed its target in this time."),
});

const atLeast = z
  .number({ error: "must be a whole number from 1 to 20" })
  .int({ error: "must be a whole number from 1 to 20" })
  .min(1, { error: "must be a whole number from 1 to 20" })
  .max(20, { error: "must be a whole number from 1 to 20" })
  .describe("How many different people must approve a change.");

/** The long form of `approvals`. */
export const approvalsSchema = z
  .strictObject({
    atLeast: atLeast.optional(),
    expireAfter: positiveDuration.optional().describe("How long people have to decide."),
    by: text(200).optional().describe("The set of the configuration's approvers that each of them must be in."),
  })
  .refine((demands) => Object.values(demands).some((value) => value !== undefined), {
    error: "asks for nothing; give atLeast, expireAfter or by",
  });

/** One entry of `notify`. */
export const notifySchema = z
  .strictObject({
    tell: text(200).describe("The name of a contact of the configuration."),
    if: condition
      .optional()
      .describe("A condition in CEL, evaluated once the steps that it refers to are over; always where left out."),
  })
  .describe("Who else is told, and when.");

/** A playbook as written, field by field: each is checked by itself, so that one mistake does not hide the others. */
export const playbookFields = {
  name: z
    .string()
    .max(63, { error: "is longer than 63 characters" })
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, { error: "must be small letters, digits and dashes" })
    .describe("The name of the playbook; unique."),
  summary: text(500).describe("What it does, in one sentence for people."),
  on: startsSchema,
  target: targetSchema.optional(),
  cooldown: positiveDuration
    .optional()
    .describe("No second change within this time after a run of this playbook changed something on the target."),
  budget: z
    .array(
      z
        .string({ error: "must be a limit and a window, such as 3/1h" })
        .regex(/^[1-9]\d{0,5}\/\d{1,8}(s|m|h|d)$/, {
          error: "is not a budget; write a limit and a window, such as 3/1h",
        })
        .refine((text) => (parseDuration(text.split("/")[1] ?? "") ?? 0) > 0, {
          error: "has a window that is 0s, or longer than 366 days",
        }),
      { error: "must be a list of limits and windows, such as [3/1h, 7/24h]" },
    )
    .max(10, { error: "has more than 10 windows" })
    .optional()
    .describe("How many runs may change something in which window, per target; over it, the run asks."),
  on_resolved: z
    .enum(["stop", "finish"], { error: "must be stop or finish" })
    .optional()
    .describe("What a run does when its alert resolves before it is done: stop (default) or finish."),
  during: z
    .enum(["maintenance"], { error: "must be maintenance, or left out" })
    .optional()
    .describe(
      "When something may be changed: only inside the target's maintenance windows, or, left out, at any time.",
    ),
  steps: z
    .array(stepSchema, { error: "must be a list of steps" })
    .min(1, { error: "is empty; a playbook has at least one step" })
    .max(50, { error: "has more than 50 steps" }),
  verify: z
    .array(checkSchema, { error: "must be a list of checks" })
    .max(10, { error: "has more than 10 checks" })
    .optional()
    .describe("How success is measured. Without it, a run that changed something ends unknown."),
  escalate: z
    .union([policyName, escalateSchema], { error: "must be the name of a policy, or { policy, hold }" })
    .optional()
    .describe("The escalation policy of the configuration that people are told by when the run cannot heal."),
  announce: z
    .enum(["never", "now", "before"], { error: "must be never, now or before" })
    .optional()
    .describe("Whether changes are announced: never, as they are made (now, the default), or a lead time before."),
  notify: z
    .array(notifySchema, { error: "must be a list of { tell, if }" })
    .max(20, { error: "has more than 20 entries" })
    .optional()
    .describe("Who else is told about the run, each as soon as its condition can be evaluated."),
  approvals: z
    .union([atLeast, approvalsSchema], { error: "must be a number of people, or { atLeast, expireAfter, by }" })
    .optional()
    .describe("What approvals must be beyond what the configuration and the target ask for."),
} as const;

export const playbookSchema = z.strictObject(playbookFields).describe("A Paramedic playbook.");

/** The JSON Schema (draft 2020-12) that `playbooks/playbook.schema.json` publishes. */
export function playbookJsonSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...rest } = z.toJSONSchema(playbookSchema, { io: "input", unrepresentable: "any" });
  return { $schema, title: "Paramedic playbook", ...rest };
}
