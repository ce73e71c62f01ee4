/** The last two stops of a request: nothing is here, and something broke. The one place where a bug becomes a 500. */

import type { ErrorRequestHandler, RequestHandler } from "express";

import { problems, sendProblem } from "./problem.ts";

/** What is needed of a logger here. */
export interface ErrorLog {
  error(fields: object, message: string): void;
}

/** Answers 404 to what no route took. */
export function notFound(): RequestHandler {
  return (_request, response) => sendProblem(response, problems.notFound);
}

/** Answers 405 and names the methods there are. */
export function methodNotAllowed(allowed: readonly string[]): RequestHandler {
  return (_request, response) => sendProblem(response, problems.methodNotAllowed, { allow: allowed.join(", ") });
}

/**
 * Logs what was thrown and answers 500 without a word of it; where the answer had begun, ends the connection. Express
 * itself throws for a path that cannot be decoded: that is the caller's fault and a 400.
 */
export function errorHandler(log: ErrorLog): ErrorRequestHandler {
  // Express tells error handlers by their four parameters.
  return (error: unknown, request, response, _next) => {
    if (error instanceof URIError) {
      return sendProblem(response, { status: 400, name: "malformed-path", title: "The path cannot be decoded" });
    }
    log.error({ err: error, method: request.method, path: request.path }, "A request failed by a bug");
    if (response.headersSent) {
      response.destroy();
      return;
    }
    sendProblem(response, problems.internalError, { connection: "close" });
  };
}
