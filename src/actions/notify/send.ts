/** `notify.send`: says something in a Slack channel of the configuration. */

import { z } from "zod";
import type { ChangeAction } from "../../domain/action.ts";
import { lasting } from "../failure.ts";

/** What says something in Slack. */
export interface SendSettings {
  /** Whether Slack answers and takes the token. Never rejects; honours the signal. */
  readonly check: (signal: AbortSignal) => Promise<Sent>;
  /** The channels of the configuration; the first one is meant where none is named. */
  readonly channels: readonly string[];
  /** Says the text, literally: no mention, link or markup in it is live. Never rejects; honours the signal. */
  readonly send: (channel: string, text: string, signal: AbortSignal) => Promise<Sent>;
}

type Sent = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly retryable: boolean };

const input = z.strictObject({
  /** What to say; up to 2,000 characters. */
  text: z
    .string()
    .max(2_000)
    .refine((text) => text.trim() !== "" && text.isWellFormed(), "must not be empty"),
  /** One of the configuration's channels; Slack's own channel where left out. */
  channel: z.string().max(100).optional(),
});

type Plan = { readonly channel: string; readonly text: string };

/** `notify.send` over the given Slack; null: none is configured. A repeated apply says it again, which harms nobody. */
export function notifySend(settings: SendSettings | null): ChangeAction<z.output<typeof input>, Plan> {
  return {
    name: "notify.send",
    summary: "Says something in a configured Slack channel.",
    input,
    kind: "change",
    risk: "low",
    repeat: "safe",
    tells: true,
    plan: async ({ text, channel = settings?.channels[0] ?? "" }, { signal }) => {
      if (!settings) return lasting("No Slack is configured. Add the section `slack`, or leave this step out.");
      if (!settings.channels.includes(channel)) {
        return lasting(`The configuration does not name this channel. It names ${settings.channels.join(", ")}.`);
      }
      const checked = await settings.check(signal);
      if (!checked.ok) return { status: "failed", reason: checked.reason, retryable: checked.retryable };
      return { status: "planned", plan: { channel, text }, effects: [`say in ${channel}: ${text}`] };
    },
    apply: async ({ channel, text }, { signal }) => {
      if (!settings?.channels.includes(channel))
        return lasting("The configuration does not name this channel any more.");
      const sent = await settings.send(channel, text, signal);
      if (sent.ok) return { status: "done", result: { channel } };
      return { status: "failed", reason: sent.reason, retryable: sent.retryable };
    },
  };
}
