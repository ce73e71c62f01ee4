/**
 * The way by PagerDuty: its official client, wrapped. By itself pdjs 2.2.4 waits for ever for a server that hangs, takes
 * every status for an answer, repeats a throttled event three times, 20 seconds apart, and keeps the process alive
 * meanwhile.
 */

import { Agent } from "node:https";
import { change as sendChange, event as sendEvent } from "@pagerduty/pdjs";
import type { Tells } from "./follow-notice.ts";
import { oneLine } from "./one-line.ts";
import { type AppliedChange, changeBody, defaultSeverities, eventBody, type SeverityTable } from "./pagerduty-event.ts";
import type { Deliver, Delivered } from "./way.ts";
import { within } from "./within.ts";

/**
 * An alert at PagerDuty is open to everybody who looks, so it follows what becomes of the run. A question is an alert of its
 * own: PagerDuty notifies nobody of what is added to one that is open, and the run may fail after somebody has decided.
 */
export const pagerDutyTells: Tells = { acknowledged: true, recovered: true, decided: true };

const deadlineMs = 10_000;
const largestAnswerBytes = 64 * 1024;
const longestComplaint = 300;

/** PagerDuty as one of the ways to reach people. What it is told goes to the service or rule set of a routing key. */
export interface PagerDuty {
  /** Triggers, acknowledges, resolves. Accepted is not yet an incident: PagerDuty says no more. */
  readonly deliver: Deliver<string>;
  /** Records an applied change, which notifies nobody. Needs the key of a service. */
  readonly change: (change: AppliedChange, routingKey: string, signal: AbortSignal) => Promise<Delivered>;
}

/** What pdjs passes on to `fetch`, beyond what its types say. */
interface FetchOptions {
  readonly signal: AbortSignal;
  readonly agent: () => Agent;
  readonly redirect: "error";
  readonly size: number;
  readonly requestTimeout: number;
  readonly retryTimeout: number;
}

/**
 * Prepares deliveries to `server`, a host with or without a port; pdjs speaks HTTPS only. `severities` adds to the
 * default table; `ca` is a PEM certificate to trust in place of the usual ones; a delivery takes at most `timeoutMs`
 * (10 seconds). Throws where the server is no such host. No reason holds a routing key.
 */
export function createPagerDuty(options: {
  readonly server: string;
  readonly severities?: SeverityTable;
  readonly ca?: string;
  readonly timeoutMs?: number;
}): PagerDuty {
  const { severities, ca, timeoutMs = deadlineMs } = options;
  const server = hostOf(options.server);
  const table = { ...defaultSeverities, ...severities };
  // Without keep-alive there is nothing to close, and no connection that has gone stale between two escalations.
  const agent = new Agent({ keepAlive: false, ...(ca === undefined ? {} : { ca }) });

  async function send(
    post: (fetching: FetchOptions) => ReturnType<typeof sendEvent>,
    key: string,
    signal: AbortSignal,
  ) {
    let requests = 0;
    const oneRequest = () => {
      requests += 1;
      if (requests > 1) throw new Error("pdjs asks again after a 429");
      return agent;
    };
    try {
      const answer = await within(timeoutMs, signal, (given) =>
        post({
          signal: given,
          // Called before every request: the one place where pdjs' own retries can be stopped.
          agent: oneRequest,
          retryTimeout: 1,
          // No idle timer of pdjs, which would outlive a failed request by 30 seconds.
          requestTimeout: 0,
          // The routing key goes nowhere else.
          redirect: "error",
          size: largestAnswerBytes,
        }),
      );
      if (answer.kind === "late") return failed(`PagerDuty did not answer within ${timeoutMs} ms.`, true);
      if (answer.kind === "stopped") return failed("Stopped while waiting for PagerDuty.", true);
      return judge(answer.value.status, answer.value.data, key);
    } catch (error) {
      if (requests > 1) {
        return { ...failed("PagerDuty takes no more events for the moment (429).", true), throttled: true };
      }
      return failed(`PagerDuty cannot be reached: ${causeOf(error)}.`, true);
    }
  }

  return {
    deliver: (notice, routingKey, signal) => {
      const data = eventBody(notice, routingKey, table);
      return send((fetching) => sendEvent({ server, data: untyped(data), ...fetching }), routingKey, signal);
    },
    change: (change, routingKey, signal) => {
      const data = changeBody(change, routingKey);
      return send((fetching) => sendChange({ server, data: untyped(data), ...fetching }), routingKey, signal);
    },
  };
}

/** pdjs' type wants every event to have the payload of a trigger; PagerDuty wants none to resolve, and less for a change. */
function untyped(data: object): Parameters<typeof sendEvent>[0]["data"] {
  return data as Parameters<typeof sendEvent>[0]["data"];
}

/** 202 is the one answer that says that the event was taken. */
function judge(status: number, data: unknown, routingKey: string): Delivered {
  if (status === 202) return { ok: true };
  if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
    const said = complaintOf(data).replaceAll(routingKey, "[secret]");
    return failed(`PagerDuty refused the event (${status})${said && `: ${oneLine(said, longestComplaint)}`}.`, false);
  }
  return failed(`PagerDuty answered ${status} in place of 202.`, true);
}

function complaintOf(data: unknown): string {
  if (typeof data !== "object" || data === null) return "";
  const { message, errors } = data as { readonly message?: unknown; readonly errors?: unknown };
  const parts = [message, ...(Array.isArray(errors) ? errors : [])];
  return parts.filter((part) => typeof part === "string").join("; ");
}

/** The kind of a failure of `fetch`; its message may quote what somebody else answered. */
function causeOf(error: unknown): string {
  const { code, type, name } = error as { readonly code?: string; readonly type?: string; readonly name?: string };
  if (type === "invalid-json") return "what answered there did not answer with JSON";
  if (type === "no-redirect") return "it redirects, which is not followed; check pagerduty.server";
  if (type === "max-size") return "its answer is too large";
  return oneLine(code ?? type ?? name ?? "unknown", 80);
}

function hostOf(server: string): string {
  const host = server.replace(/^https:\/\//, "");
  if (/^[A-Za-z0-9.-]+(:\d{1,5})?$/.test(host)) return host;
  throw new Error(
    `pagerduty.server is '${oneLine(server, 80)}': give a host such as events.pagerduty.com, without http://.`,
  );
}

function failed(reason: string, retryable: boolean) {
  return { ok: false, reason, retryable } as const;
}
