/** Puts together what people are told of a run, from its history. */

import type { RunEvent } from "../domain/event.ts";
import type { Message } from "./desk.ts";
import type { Notice } from "./way.ts";

/** The notice of a message; null where the history does not say how the run ended. */
export function noticeOf(
  message: Message,
  history: readonly RunEvent[],
  around: { readonly levels: number; readonly publicUrl: string | null },
): Notice | null {
  const [created] = history;
  const ended = history.find((event) => event.type === "ended");
  if (created?.type !== "created" || ended?.type !== "ended") return null;
  const { trigger } = created;
  const alert = trigger.kind === "alert" ? trigger : null;
  const path = `/api/v1/runs/${message.runId}`;
  return {
    kind: "handed-over",
    run: message.runId,
    playbook: created.playbook,
    target: created.target,
    outcome: ended.outcome,
    reason: ended.reason,
    policy: message.policy,
    level: message.level + 1,
    levels: around.levels,
    episodeKey: alert
      ? `paramedic:${alert.source}:${alert.fingerprint}:${alert.startsAt}`
      : `paramedic:${message.runId}`,
    labels: alert?.labels ?? {},
    annotations: alert?.annotations ?? {},
    startsAt: alert?.startsAt ?? null,
    story: history,
    url: around.publicUrl === null ? null : `${around.publicUrl}${path}`,
    acknowledge: {
      command: `paramedic ack ${message.runId}`,
      request: `curl -X POST -H "authorization: Bearer $PARAMEDIC_TOKEN" ${around.publicUrl ?? "http://127.0.0.1:9095"}${path}/acknowledge`,
    },
  };
}
