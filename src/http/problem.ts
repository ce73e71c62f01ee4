/** Errors as HTTP tells them: `application/problem+json` (RFC 9457). They never repeat the caller's input. */

import type { ServerResponse } from "node:http";

/** A problem and the status it is answered with. */
export interface Problem {
  readonly status: number;
  /** The kebab-case name that ends the `type`. */
  readonly name: string;
  /** A short sentence that is the same for every problem of this name. */
  readonly title: string;
  /** What happened this time and what to do next. */
  readonly detail?: string;
  /** Every field at fault. */
  readonly errors?: readonly FieldProblem[];
}

/** One field at fault: where it stands in the body, such as `alerts[3].labels`, and what is wrong with it. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** Answers with a problem. Does nothing where an answer has begun already. */
export function sendProblem(
  response: ServerResponse,
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) return;
  const { name, ...members } = problem;
  const body = JSON.stringify({ type: `urn:paramedic:problem:${name}`, ...members });
  response.writeHead(problem.status, {
    "content-type": "application/problem+json",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...headers,
  });
  response.end(body);
}

/** The problems that every route may answer with. */
export const problems = {
  unauthorized: {
    status: 401,
    name: "unauthorized",
    title: "A valid bearer token is needed",
    detail: "Send the header `Authorization: Bearer <token>` with a token of the configuration.",
  },
  forbidden: { status: 403, name: "forbidden", title: "The role of this token does not allow this" },
  notFound: { status: 404, name: "not-found", title: "There is nothing here" },
  methodNotAllowed: { status: 405, name: "method-not-allowed", title: "This path does not know this method" },
  internalError: {
    status: 500,
    name: "internal-error",
    title: "Paramedic failed to answer",
    detail: "This is a bug; the log has the details.",
  },
} as const satisfies Readonly<Record<string, Problem>>;
