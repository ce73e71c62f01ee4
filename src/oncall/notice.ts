/** Puts together what people are told of a run, from its history. */

import type { Outcome, RunEvent } from "../domain/event.ts";
import type { Topic } from "../domain/topic.ts";
import { openQuestionOf } from "./question.ts";
import type { Message, Notice, NoticeAction, OtherPage, Subject } from "./way.ts";

/** What the history alone does not say. */
export interface Around {
  /** The playbook's one sentence; null where its text cannot be read any more. */
  readonly summary: string | null;
  /** Left out: none is known. */
  readonly changes?: Subject["changes"];
  /** Left out: none. */
  readonly otherPages?: readonly OtherPage[];
  /** The address that people reach us by, without a final slash; null: none is configured. */
  readonly publicUrl: string | null;
  /** The address that is listened on, without a final slash. */
  readonly listenUrl: string;
}

/** All that can be said of a run; null where the history does not begin as one does. */
export function subjectOf(runId: string, history: readonly RunEvent[], around: Around): Subject | null {
  const [created] = history;
  if (created?.type !== "created") return null;
  const { trigger } = created;
  const alert = trigger.kind === "alert" ? trigger : null;
  const ended = history.find((event) => event.type === "ended");
  return {
    run: runId,
    playbook: created.playbook,
    summary: around.summary,
    changes: around.changes ?? new Map(),
    target: created.target,
    ended: ended ? { outcome: ended.outcome, reason: ended.reason } : null,
    episodeKey: alert ? `paramedic:${alert.source}:${alert.fingerprint}:${alert.startsAt}` : `paramedic:${runId}`,
    labels: alert?.labels ?? {},
    annotations: alert?.annotations ?? {},
    startsAt: alert?.startsAt ?? null,
    requestedBy: trigger.kind === "request" ? trigger.by : null,
    story: history,
    acknowledgedBy: whoHasIt(history),
    recovered: (ended && isWell(ended.outcome, history)) || history.some(({ type }) => type === "recovered"),
    otherPages: around.otherPages ?? [],
    url: around.publicUrl === null ? null : `${around.publicUrl}/api/v1/runs/${runId}`,
    baseUrl: around.publicUrl ?? around.listenUrl,
  };
}

/** Who has a page has what comes of it, too; who has a question does not have the failure that comes after it. */
function whoHasIt(history: readonly RunEvent[]): string | null {
  let who: string | null = null;
  let asked = false;
  for (const event of history) {
    if (event.type === "acknowledged") who = event.by;
    if (event.type !== "escalated") continue;
    if (asked) who = null;
    asked = event.topic === "approval-unasked";
  }
  return who;
}

/** That nothing had to be done is good news only where something measured it. */
function isWell(outcome: Outcome, history: readonly RunEvent[]): boolean {
  if (outcome !== "nothing-to-do") return outcome === "fixed" || outcome === "resolved";
  return history.some((event) => event.type === "verification-checked" && event.passed);
}

/** What a message of the topics `notify`, `held`, `approval-unasked` and `handed-over` says in the first place. */
export function noticeOf(message: Message, subject: Subject, levels: number): Notice {
  const { run, playbook, summary, changes, target, ended, episodeKey, labels, annotations, startsAt, story, url } =
    subject;
  const kind = kindOf(message.topic);
  return {
    kind,
    topic: message.topic,
    about: message.about,
    run,
    playbook,
    summary,
    changes,
    target,
    outcome: ended?.outcome ?? null,
    reason: reasonOf(kind, subject),
    policy: message.policy,
    level: message.level + 1,
    levels,
    episodeKey,
    labels,
    annotations,
    startsAt,
    story,
    url,
    actions: actionsOf(kind, subject),
  };
}

/** What there may be to say after the notice itself. */
export type FurtherKind = "acknowledged" | "decided" | "recovered";

/** What is said afterwards to those who were told `first`. */
export function furtherNotice(first: Notice, kind: FurtherKind, subject: Subject): Notice {
  return { ...first, kind, reason: furtherReason(kind, subject), actions: [] };
}

function furtherReason(kind: FurtherKind, { story, ended, acknowledgedBy }: Subject): string {
  if (kind === "acknowledged") return `${acknowledgedBy ?? "somebody"} has it`;
  if (kind === "decided") return "it does not wait for approval any more";
  return story.findLast((event) => event.type === "recovered")?.reason ?? ended?.reason ?? "it is over";
}

function kindOf(topic: Topic): Notice["kind"] {
  return topic === "held" || topic === "approval-unasked" || topic === "handed-over" ? topic : "firing";
}

function reasonOf(kind: Notice["kind"], { story, ended, requestedBy, startsAt }: Subject): string {
  if (kind === "handed-over" && ended) return ended.reason;
  const escalated = story.findLast((event) => event.type === "escalated" && (event.topic ?? "handed-over") === kind);
  if (escalated?.type === "escalated") return escalated.reason;
  if (startsAt !== null) return "the alert fires and its playbook runs";
  return requestedBy === null ? "the playbook runs" : `${requestedBy} asked for it and the playbook runs`;
}

function actionsOf(kind: Notice["kind"], { run, story, baseUrl }: Subject): readonly NoticeAction[] {
  const post = `curl -X POST -H "authorization: Bearer $PARAMEDIC_TOKEN"`;
  if (kind === "handed-over" || kind === "held") {
    const request = `${post} ${baseUrl}/api/v1/runs/${run}/acknowledge`;
    return [{ label: "Say that you have it", command: `paramedic ack ${run}`, request }];
  }
  const question = kind === "approval-unasked" ? openQuestionOf(story) : null;
  if (!question) return [];
  return (["approve", "decline"] as const).map((decision) => ({
    label: decision === "approve" ? "Approve" : "Decline",
    command: `paramedic ${decision} ${run}`,
    request:
      `${post} -H "content-type: application/json" ` +
      `-d '${JSON.stringify({ decision, digest: question.digest })}' ${baseUrl}/api/v1/approvals/${question.approval}`,
  }));
}
