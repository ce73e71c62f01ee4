/** The REST API as one router. Deny by default: what is not in the table of routes does not answer, and a route without a role says so there. */

import type { ServerResponse } from "node:http";
import { type ErrorRequestHandler, type Request, type RequestHandler, Router } from "express";
import { isAllowed, type Role } from "../domain/role.ts";
import { closeUnlessSmall, createBearerCheck, refuseUnauthorized } from "../http/bearer.ts";
import { type Problem, problems, sendProblem } from "../http/problem.ts";
import { approvalRoutes } from "./approval-routes.ts";
import { episodeRoutes } from "./episode-routes.ts";
import { createBodyReader } from "./fields.ts";
import { mitigationRoutes } from "./mitigation-routes.ts";
import { operatingRoutes } from "./operating-routes.ts";
import { playbookRoutes } from "./playbook-routes.ts";
import type { Answer, Caller, Route } from "./route.ts";
import { runRoutes } from "./run-routes.ts";
import { createRunStreams } from "./run-streams.ts";
import { isStoreOutage } from "./store-outage.ts";
import { switchRoutes } from "./switch-routes.ts";
import type { ApiLog, ApiWorld } from "./world.ts";

export interface Api {
  readonly router: Router;
  /** Every route there is, with the role it asks for. */
  readonly routes: readonly Route[];
  /** Ends what would keep the server from stopping: the streams of events. */
  close(): void;
}

const mebibyte = 1_048_576;

/** Makes the API. Throws where a token is empty. */
export function createApi(world: ApiWorld): Api {
  const { log } = world;
  const readBody = createBodyReader(world.limitBytes ?? mebibyte);
  const streams = createRunStreams({ news: world.store.news, log });
  const routes = [
    ...runRoutes(world, readBody, streams),
    ...approvalRoutes(world, readBody),
    ...mitigationRoutes(world, readBody),
    ...playbookRoutes(world),
    ...episodeRoutes(world),
    ...switchRoutes(world, readBody),
    ...operatingRoutes(world),
  ];

  const router = Router({ caseSensitive: true });
  const callers = new WeakMap<object, Caller>();
  router.use(["/api", "/metrics"], authenticate(world, callers));
  for (const route of routes) {
    const method = route.method.toLowerCase() as Lowercase<Route["method"]>;
    router[method](route.path, answerer(route, callers, log));
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    router.all(path, wrongMethod(routes.filter((route) => route.path === path)));
  }
  router.use("/api", (request, response) => refuse(request, response, problems.notFound));
  router.use(storeOutage(log));
  return { router, routes, close: streams.close };
}

/** Finds out who calls, before anything else is looked at. */
function authenticate(world: ApiWorld, callers: WeakMap<object, Caller>): RequestHandler {
  const check = createBearerCheck(
    world.tokens.map(({ name, role, secret }): { token: string; identity: Caller } => ({
      token: secret,
      identity: { who: `api:${name}`, role },
    })),
  );
  return (request, response, next) => {
    const caller = check(request.headers.authorization);
    if (caller) {
      callers.set(request, caller);
      return next();
    }
    const what = `${request.method} ${request.baseUrl}${request.path}`.slice(0, 200);
    world.log.warn(
      { who: request.socket.remoteAddress, what },
      "A call of the API without a valid bearer token was refused",
    );
    refuseUnauthorized(request, response);
  };
}

function answerer(route: Route, callers: WeakMap<object, Caller>, log: ApiLog): RequestHandler {
  return async (request, response) => {
    if (route.role === null) return send(request, response, await route.answer());
    const caller = callers.get(request);
    if (!caller) return refuseUnauthorized(request, response);
    if (!isAllowed(caller.role, route.role)) {
      const fields = { who: caller.who, what: `${route.method} ${request.path}`.slice(0, 200), needs: route.role };
      log.warn(fields, "A call of the API was refused because the role of its token does not allow it");
      return refuse(request, response, forbidden(caller.role, route.role));
    }
    const params = Object.fromEntries(Object.entries(request.params).map(([name, value]) => [name, String(value)]));
    const query = new URLSearchParams(request.url.slice(`${request.url}?`.indexOf("?")));
    send(request, response, await route.answer({ request, params, query, caller }));
  };
}

function forbidden(has: Role, needed: Role): Problem {
  return {
    ...problems.forbidden,
    detail: `Its role is ${has}; this needs ${needed}. Ask somebody who has such a token.`,
  };
}

function send(request: Request, response: ServerResponse, answer: Answer): void {
  switch (answer.kind) {
    case "json":
      write(response, answer.status, JSON.stringify(answer.body), {
        "content-type": "application/json",
        ...answer.headers,
      });
      break;
    case "text":
      write(response, 200, answer.text, { "content-type": answer.contentType });
      break;
    case "nothing-more":
      response.writeHead(204, { "cache-control": "no-store" });
      response.end();
      break;
    case "stream":
      if (request.method === "HEAD") write(response, 200, "", { "content-type": "text/event-stream" });
      else answer.start(response);
      break;
    case "problem":
      refuse(request, response, answer.problem);
      break;
    case "gone":
      response.destroy();
      break;
    default:
      answer satisfies never;
  }
}

function write(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, { "content-length": Buffer.byteLength(body), "cache-control": "no-store", ...headers });
  response.end(body);
}

/** A body that was not read to its end is either small enough to be skipped, or the connection ends with the answer. */
function refuse(
  request: Request,
  response: ServerResponse,
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendProblem(response, problem, { ...(request.readableEnded ? {} : closeUnlessSmall(request)), ...headers });
}

function wrongMethod(routes: readonly Route[]): RequestHandler {
  const methods = routes.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  const allow = methods.join(", ");
  const problem = { ...problems.methodNotAllowed, detail: `Use one of ${allow}.` };
  return (request, response) => refuse(request, response, problem, { allow });
}

/** The store is away: that is no bug, and trying again helps. Everything else goes on to the server's error handler. */
function storeOutage(log: ApiLog): ErrorRequestHandler {
  // Express tells error handlers by their four parameters.
  return (error: unknown, request, response, next) => {
    if (!isStoreOutage(error) || response.headersSent) return next(error);
    log.error(
      { err: error, method: request.method, path: request.path },
      "A call of the API failed because the store cannot be used",
    );
    refuse(request, response, storeUnavailable, { "retry-after": "5" });
  };
}

const storeUnavailable: Problem = {
  status: 503,
  name: "store-unavailable",
  title: "Paramedic's own database cannot be used at the moment",
  detail:
    "Try again in a few seconds; a request with an Idempotency-Key starts one run only. GET /readyz says when it is back.",
};
