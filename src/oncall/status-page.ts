/** The way by a status page: Atlassian Statuspage, or a plain webhook that is told the same. */

import { followStatusWebhook } from "./status-webhook.ts";
import { followStatuspage } from "./statuspage.ts";
import type { Follow } from "./way.ts";

/** Where announcements go. `url` is without a final slash. */
export type StatusPageSettings =
  | { readonly kind: "statuspage"; readonly url: string; readonly pageId: string; readonly token: Hidden }
  | { readonly kind: "webhook"; readonly url: string; readonly token: Hidden | null };

/** A secret that is looked at when it is used. */
interface Hidden {
  reveal(): string;
}

const deadlineMs = 10_000;

/** Prepares announcements. One call takes at most `timeoutMs` (10 seconds). No reason holds the token. */
export function createStatusPage(settings: StatusPageSettings, timeoutMs = deadlineMs): { readonly follow: Follow } {
  if (settings.kind === "webhook") {
    const { url, token } = settings;
    return { follow: followStatusWebhook({ url: new URL(url), token: token?.reveal() ?? null, timeoutMs }) };
  }
  const { url, pageId, token } = settings;
  const page = `${url.replace(/\/$/, "")}/pages/${encodeURIComponent(pageId)}`;
  return { follow: followStatuspage({ page, token: token.reveal(), timeoutMs }) };
}
