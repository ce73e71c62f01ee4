/** Bearer tokens (RFC 6750), compared in constant time with all that are valid, so that several may be at once. */

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import { problems, sendProblem } from "./problem.ts";

/** A token that is valid and who presents it. */
export interface Credential<Identity> {
  readonly token: string;
  readonly identity: Identity;
}

/** Bodies of refused requests up to this size are let pass by, which keeps the connection; larger ones end it. */
const skippableBytes = 65_536;

/**
 * Makes the check of an `Authorization` header: the identity whose token it holds, or null. Throws where there is no
 * token or an empty one: a door without a lock is a bug of the caller.
 */
export function createBearerCheck<Identity>(
  credentials: readonly Credential<Identity>[],
): (authorization: string | undefined) => Identity | null {
  if (credentials.some(({ token }) => token.trim() === "")) throw new Error("An empty bearer token was configured");
  const known = credentials.map(({ token, identity }) => ({ digest: digestOf(token), identity }));

  return function check(authorization) {
    const token = authorization === undefined ? undefined : /^Bearer +([^\s]+) *$/i.exec(authorization)?.[1];
    if (token === undefined) return null;
    const digest = digestOf(token);
    let found: Identity | null = null;
    // All of them are compared, always: the time tells nothing about which one it was.
    for (const candidate of known) {
      if (timingSafeEqual(candidate.digest, digest)) found = candidate.identity;
    }
    return found;
  };
}

/** Answers 401 and leaves the body unread: a large one is cut off by closing the connection. */
export function refuseUnauthorized(request: IncomingMessage, response: ServerResponse): void {
  sendProblem(response, problems.unauthorized, { "www-authenticate": "Bearer", ...closeUnlessSmall(request) });
}

/** The header that ends the connection after the answer where the rest of the request is not worth receiving. */
export function closeUnlessSmall(request: IncomingMessage): Readonly<Record<string, string>> {
  const length = request.headers["content-length"];
  const small =
    length === undefined ? request.headers["transfer-encoding"] === undefined : Number(length) <= skippableBytes;
  return small ? {} : { connection: "close" };
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
