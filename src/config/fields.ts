/** Schemas of single settings: durations, addresses, names, lists. Their messages say what is expected. */

import { z } from "zod";

import { parseDuration } from "../domain/duration.ts";

/** A duration such as `90s`, as milliseconds within bounds. */
export function duration(bounds: { readonly atLeastMs?: number } = {}) {
  return z.unknown().transform((value, context) => {
    const ms = typeof value === "string" ? parseDuration(value) : null;
    if (ms === null) {
      context.addIssue({ code: "custom", message: "must be a duration such as 90s, 10m, 2h or 7d" });
      return z.NEVER;
    }
    if (ms < (bounds.atLeastMs ?? 0)) {
      context.addIssue({ code: "custom", message: `must be at least ${(bounds.atLeastMs ?? 0) / 1_000}s` });
      return z.NEVER;
    }
    return ms;
  });
}

/** A whole number within bounds. */
export function whole(least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .number({ error: message })
    .int({ error: message })
    .min(least, { error: message })
    .max(most, { error: message });
}

/** Text that is not empty and has no control characters. */
export const text = z
  .string({ error: "must be text" })
  .refine((value) => value.trim() !== "", { error: "must not be empty", abort: true })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  .refine((value) => !/[\u0000-\u001f\u007f]/.test(value), { error: "must not contain control characters" });

/** An HTTP address without credentials; a final slash is removed. */
export const httpUrl = text.transform((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    context.addIssue({ code: "custom", message: "must be an address that starts with http:// or https://" });
    return z.NEVER;
  }
  if (url.username !== "" || url.password !== "") {
    context.addIssue({
      code: "custom",
      message: "must not contain a user or password: secrets are not written in the file",
    });
    return z.NEVER;
  }
  if (url.search !== "" || url.hash !== "") {
    context.addIssue({ code: "custom", message: "must not contain a query or fragment" });
    return z.NEVER;
  }
  return value.replace(/\/+$/, "");
});

/** `host:port`, where an IPv6 host stands in brackets. */
export const listenAddress = text.transform((value, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  const bracketed = match?.[1];
  if (!match || port > 65_535 || (bracketed !== undefined && !URL.canParse(`http://[${bracketed}]/`))) {
    context.addIssue({
      code: "custom",
      message: "must be host:port, such as 127.0.0.1:9095, 0.0.0.0:9095 or [::1]:9095",
    });
    return z.NEVER;
  }
  return { host: (bracketed ?? match[2]) as string, port };
});

/** A name of ours: of a target, a policy, a token. */
export const ownName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
  error: "must be a name of letters, digits, '.', '_' and '-', at most 63",
});

/** An e-mail address: only its shape. */
export const emailAddress = text.refine((value) => /^[^\s@<>,;"]+@[^\s@<>,;"]+$/.test(value), {
  error: "must be an e-mail address",
});

/** A Slack channel: by name, as people write it, or by id. */
export const slackChannel = z
  .string({ error: "must be a channel: '#name' in quotes, since # begins a comment, or an id such as C024BE91L" })
  .regex(/^(#[^\s#@<>&,"'`A-Z\p{Cc}]{1,80}|[CG][A-Z0-9]{1,30})$/u, {
    error: "must be a channel: '#name' in small letters, or an id such as C024BE91L",
  });

/** The id of a Slack user. Names change and can be taken by others; ids cannot. */
export const slackUser = z
  .string({ error: "must be the id of a Slack user, such as U024BE7LH" })
  .regex(/^[UW][A-Z0-9]{1,30}$/, {
    error: "must be the id of a Slack user, such as U024BE7LH: people find it in their profile under 'Copy member ID'",
  });

/** The id of a Slack user group. */
export const slackGroup = z
  .string({ error: "must be the id of a Slack user group, such as S0614TZR7" })
  .regex(/^S[A-Z0-9]{1,30}$/, {
    error: "must be the id of a Slack user group, such as S0614TZR7",
  });

/** A list with at least one item and none twice. */
export function someOf<T extends z.ZodType<string>>(item: T) {
  return z
    .array(item, { error: "must be a list" })
    .min(1, { error: "must not be empty: an empty selection is an error, it never means all" })
    .refine((values) => new Set(values).size === values.length, { error: "must not name the same thing twice" });
}

/** A path from the root. */
export const absolutePath = text.refine((value) => value.startsWith("/") && !value.split("/").includes(".."), {
  error: "must be an absolute path without ..",
});
