/** Asks the HTTP API of the configured Prometheus, and words what it refuses. */

import { z } from "zod";
import type { Failure } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { type JsonRequest, requestJson } from "../request-json.ts";
import { urlBelow } from "../url-below.ts";

/** The longest PromQL that is sent. */
export const longestQuery = 8_192;

/** That a query has no answer: said in the same words by every action. */
export const noData = "No data: the query results in no series. Check the metric's name, its labels and the scrape.";

const longestComplaint = 300;

const complaintShape = z.object({ error: z.string() });

/** The body of a success; a Failure where no Prometheus is configured, none answers, or it refuses. */
export async function askPrometheus(
  base: string | null,
  path: "/api/v1/query" | "/api/v1/query_range",
  parameters: Readonly<Record<string, string>>,
  signal: AbortSignal,
  request: Pick<JsonRequest, "timeoutMs"> = {},
): Promise<{ readonly status: "answered"; readonly body: unknown } | Failure> {
  if (base === null) return lasting("No Prometheus is configured. Add prometheus.url to paramedic.yaml.");
  const url = urlBelow(base, path);
  if (!url) return lasting("The configured prometheus.url is no plain http(s) URL. Correct it.");
  url.search = new URLSearchParams(parameters).toString();
  const answer = await requestJson(url, signal, request);
  if (answer.status === "failed") return answer;
  return answer.code === 200 ? { status: "answered", body: answer.body } : refusal(answer.code, answer.body);
}

function refusal(code: number, body: unknown): Failure {
  const complaint = complaintShape.safeParse(body);
  const said = complaint.success ? `: ${complaint.data.error.slice(0, longestComplaint)}` : "";
  return (code >= 500 || code === 429 ? passing : lasting)(`Prometheus answered ${code}${said}`);
}
