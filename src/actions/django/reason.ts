/** Makes a clear, short reason of what went wrong inside a Django project. */

import { z } from "zod";
import type { Failure } from "../../domain/action.ts";
import type { DjangoTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";

const longest = 600;
const secretName = /PASS|SECRET|TOKEN|KEY|CREDENTIAL|SIGNATURE/i;

/** What call.py tells of a failure: its own refusal, or what the project raised. */
const told = z.union([
  z.object({ refused: z.string() }),
  z.object({
    stage: z.string(),
    type: z.string(),
    message: z.string(),
    where: z.string(),
    passes: z.boolean(),
    /** Of migrations: which had been carried out before; null: that cannot be told. */
    happened: z.array(z.string()).nullish(),
  }),
]);

/** The Failure for people; names the project, the exception and the line of the project that it came from. */
export function readableReason(error: unknown, target: string, django: DjangoTarget): Failure {
  const parsed = told.safeParse(error);
  const project = `The Django project of target ${target}`;
  if (!parsed.success) return lasting(`${project} answered what cannot be understood.`);
  if ("refused" in parsed.data) return lasting(bounded(`${project} cannot do this: ${parsed.data.refused}.`));
  const { stage, type, message, where, passes } = parsed.data;
  const settings = stage === "call" ? "" : ` while Django was set up with ${django.settings}`;
  const place = where === "" ? "" : ` (${where})`;
  const text = message === "" ? type : `${type}: ${message}`;
  return (passes ? passing : lasting)(bounded(`${project} raised${settings}${place} ${text}`));
}

/** What had been carried out before something was raised in the middle of it, as a sentence; null where nothing is told of that. */
export function whatHappened(error: unknown): string | null {
  const parsed = told.safeParse(error);
  if (!parsed.success || "refused" in parsed.data || parsed.data.happened === undefined) return null;
  const { happened } = parsed.data;
  if (happened === null)
    return "Which of the migrations had been carried out is not known: see manage.py showmigrations.";
  if (happened.length === 0) return "No migration is recorded as carried out.";
  return bounded(`Carried out before that, and still so: ${happened.join(", ")}.`);
}

/** What of an environment must never be shown: values of variables with such names, and passwords in URLs. */
export function secretsOf(env: Readonly<Record<string, string>>): readonly string[] {
  const found = Object.entries(env).flatMap(([name, value]) => {
    const password = /^[a-z0-9+]+:\/\/[^\s/@:]*:([^\s/@]+)@/i.exec(value)?.[1];
    return [
      ...(secretName.test(name) ? [value] : []),
      ...(password === undefined ? [] : [password, decoded(password)]),
    ];
  });
  return found.filter((secret) => secret.length >= 4);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function bounded(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, " ");
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}
