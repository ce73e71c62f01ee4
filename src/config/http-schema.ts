/** The schema of a target's `http:`: where it is, how far requests may go, and what may be sent there. */

import { z } from "zod";

import { isAddress, mayReach, reachOfHost } from "../domain/network.ts";
import type { HttpTarget } from "../domain/target.ts";
import { httpUrl, text } from "./fields.ts";

const pathBelow = text.refine((value) => /^\/[^\s\\#]*$/.test(value) && !/\/\/|(^|\/)\.\.?(\/|\?|$)/.test(value), {
  error: "must be a plain path that begins with one slash, such as /health/",
});

const statusPath = pathBelow.refine((value) => !value.includes("?"), { error: "must have no query" });

const posts = z
  .array(
    z.union(
      [pathBelow.transform((path) => ({ path })), z.strictObject({ path: pathBelow, status: statusPath.optional() })],
      {
        error: "must be a path such as /hooks/flush/, or { path: …, status: … }",
      },
    ),
    { error: "must be a list" },
  )
  .min(1, { error: "must not be empty: leave it out where nothing may be sent" })
  .refine((all) => new Set(all.map(({ path }) => path)).size === all.length, { error: "must not name a path twice" });

/** A target's `http:` as it is written. */
export const httpSchema = z
  .strictObject({
    baseUrl: httpUrl,
    healthPath: pathBelow.optional(),
    network: z.enum(["public", "private", "link-local"], { error: "must be public, private or link-local" }).optional(),
    post: posts.optional(),
  })
  .superRefine(({ baseUrl, network }, context) => {
    if (!URL.canParse(baseUrl)) return;
    const host = new URL(baseUrl).hostname;
    const reach = reachOfHost(host);
    if (!isAddress(host) || mayReach(network ?? (reach === "private" ? "private" : "public"), reach)) return;
    const message =
      reach === "never"
        ? `${host} is an address to which no request is ever sent, such as that of a cloud's credentials`
        : `${host} is a ${reach} address: write network: ${reach} beside it where that is meant`;
    context.addIssue({ code: "custom", path: ["baseUrl"], message });
  });

type ParsedHttp = z.output<typeof httpSchema>;

/** The domain's part of the target. */
export function buildHttp({ baseUrl, healthPath, network, post }: ParsedHttp): HttpTarget {
  return {
    baseUrl,
    ...(healthPath !== undefined && { healthPath }),
    ...(network && { network }),
    ...(post && { post: post.map(buildPost) }),
  };
}

function buildPost(post: NonNullable<ParsedHttp["post"]>[number]): NonNullable<HttpTarget["post"]>[number] {
  return "status" in post && post.status !== undefined
    ? { path: post.path, statusPath: post.status }
    : { path: post.path };
}

/** What is to be added where a name does not say whether it is on a private network; null: nothing. */
export function unclearNetwork({ baseUrl, network }: ParsedHttp): string | null {
  const { hostname } = new URL(baseUrl);
  if (network || reachOfHost(hostname) !== "public" || isAddress(hostname)) return null;
  return (
    `only public addresses of ${hostname} are connected to: add network: private where it is on a private network, ` +
    "or network: public to say that it is not"
  );
}
