/** Speaks with the REST API of a running Paramedic, with a deadline, and turns its problems into sentences. */

import { deadlineOf } from "../domain/deadline.ts";

export interface ClientSettings {
  readonly url: string;
  readonly token: string;
}

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

export interface Client {
  get<T>(path: string): Promise<Answer<T>>;
  send<T>(method: "POST" | "PUT", path: string, body: object): Promise<Answer<T>>;
}

const deadlineMs = 10_000;

export function createClient({ url, token }: ClientSettings): Client {
  async function call<T>(method: string, path: string, body: object | null): Promise<Answer<T>> {
    let response: Response;
    let text: string;
    const { signal, release } = deadlineOf([], deadlineMs);
    try {
      response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body ? { "content-type": "application/json" } : {}),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
        redirect: "error",
        signal,
      });
      text = await response.text();
    } catch (error) {
      return { ok: false, message: `${url} cannot be reached: ${reasonOf(error)}; is Paramedic running there?` };
    } finally {
      release();
    }
    const parsed = parse(text);
    if (response.ok) return { ok: true, value: parsed as T };
    return { ok: false, message: problemOf(response.status, parsed) };
  }
  return {
    get: (path) => call("GET", path, null),
    send: (method, path, body) => call(method, path, body),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  const { name, cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === "TimeoutError") return `no answer within ${deadlineMs / 1000} s`;
  return cause?.code ?? cause?.message ?? message;
}

/** Title, detail and the fields at fault of an RFC 9457 problem, in one line. */
function problemOf(status: number, body: unknown): string {
  const problem = (typeof body === "object" && body !== null ? body : {}) as {
    title?: string;
    detail?: string;
    errors?: readonly { field: string; message: string }[];
  };
  const fields = (problem.errors ?? []).map(({ field, message }) => `${field}: ${message}`);
  const parts = [problem.title ?? `HTTP ${status}`, problem.detail, ...fields].filter((part) => part !== undefined);
  return parts.map((part) => part.replace(/[.\s]+$/, "")).join(". ");
}
