/** What a line of the API's route table is: who may call it, and how it answers. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Role } from "../domain/role.ts";
import type { Problem } from "../http/problem.ts";

/** Who calls, by the token that they presented. */
export interface Caller {
  /** As the history has it: `api:oncall-cli`. */
  readonly who: string;
  readonly role: Role;
}

/** One request to a route. */
export interface Call {
  readonly request: IncomingMessage;
  /** The named parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly caller: Caller;
}

export type Answer =
  | {
      readonly kind: "json";
      readonly status: number;
      readonly body: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly kind: "text"; readonly contentType: string; readonly text: string }
  | { readonly kind: "nothing-more" }
  | { readonly kind: "stream"; start(response: ServerResponse): void }
  | { readonly kind: "problem"; readonly problem: Problem }
  /** The caller went away before the end of the body. */
  | { readonly kind: "gone" };

export type Method = "GET" | "POST" | "PUT";

/** A route that answers nobody without a token of this role or a higher one. */
export interface GuardedRoute {
  readonly method: Method;
  /** In Express's syntax. */
  readonly path: string;
  readonly role: Role;
  answer(call: Call): Promise<Answer>;
}

/** A route that asks for no token. */
export interface OpenRoute {
  readonly method: "GET";
  readonly path: string;
  readonly role: null;
  answer(): Promise<Answer>;
}

export type Route = GuardedRoute | OpenRoute;

/** An answer of 200, or another status, in JSON. */
export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer {
  return { kind: "json", status, body, headers };
}

export function refusal(problem: Problem): Answer {
  return { kind: "problem", problem };
}
