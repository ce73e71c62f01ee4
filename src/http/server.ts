/** The HTTP server: the routers in their order, limits on slow and idle clients, and an end that does not wait for them. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type RequestHandler } from "express";
import { type ErrorLog, errorHandler, notFound } from "./errors.ts";

export interface HttpServer {
  /** `http://host:port`, as listened on. */
  readonly url: string;
  /** Takes no new connection, lets requests under way finish for a moment, then cuts the rest. */
  close(): Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Asked in this order. What reads raw bodies itself comes first. */
  readonly routers: readonly RequestHandler[];
  readonly log: ErrorLog;
}

const lastRequestsMs = 2_000;

/** Listens. Rejects when the address cannot be had. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("case sensitive routing", true);
  for (const router of options.routers) app.use(router);
  app.use(notFound());
  app.use(errorHandler(options.log));

  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 65_000 }, app);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  const { address, family, port } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), lastRequestsMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}
