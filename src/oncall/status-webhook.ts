/** Announcements to a plain webhook: every stage of a run in order, as documented in docs/status-page.md. */

import { isLast, type Stage, stagesOf } from "./announcement.ts";
import { callJson } from "./json-call.ts";
import { oneLine } from "./one-line.ts";
import type { Follow, Subject } from "./way.ts";

const longestText = 500;

/** What the webhook is told; its fields are public. */
export interface StatusWebhookBody {
  readonly event: "announced" | "updated" | "closed";
  readonly run: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly what: readonly string[];
  readonly why: string;
  readonly outcome: string | null;
  readonly text: string;
  readonly url: string | null;
  readonly at: string;
}

const eventOf: Readonly<Record<Stage["kind"], StatusWebhookBody["event"]>> = {
  announced: "announced",
  changed: "updated",
  "not-well": "updated",
  well: "closed",
  "called-off": "closed",
  recovered: "closed",
};

/** What is told twice, since an answer was lost, has the same `Idempotency-Key` both times. */
export function followStatusWebhook(options: {
  readonly url: URL;
  readonly token: string | null;
  readonly timeoutMs: number;
}): Follow {
  const { url, token, timeoutMs } = options;
  const name = `The status webhook at ${url.host}`;
  return async (message, subject, signal) => {
    const stages = stagesOf(subject);
    let { place, shownSeq } = message;
    const told = () => (message.place === null && place !== null ? url.host : null);
    for (const stage of stages.filter(({ seq }) => seq > message.shownSeq)) {
      const headers = {
        "idempotency-key": `${subject.run}.${stage.seq}`,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      };
      const body = bodyOf(stage, subject);
      const answer = await callJson({ method: "POST", url, headers, body, timeoutMs, name, secret: token }, signal);
      if (!answer.ok && shownSeq > message.shownSeq) {
        // Those before it are told; the failure comes again with the next call, which is due at once.
        return { ok: true, place, shownSeq, told: told(), done: false };
      }
      if (!answer.ok) {
        const { status: _, ...failure } = answer;
        return { ...failure, place, shownSeq };
      }
      place = { told: stage.kind };
      shownSeq = stage.seq;
    }
    const last = stages.at(-1);
    return {
      ok: true,
      place,
      shownSeq: subject.story.at(-1)?.seq ?? shownSeq,
      told: told(),
      done: last ? isLast(subject, last) : subject.ended !== null,
    };
  };
}

function bodyOf(stage: Stage, subject: Subject): StatusWebhookBody {
  const isEnd = stage.kind !== "announced" && stage.kind !== "changed";
  return {
    event: eventOf[stage.kind],
    run: subject.run,
    playbook: subject.playbook,
    target: subject.target,
    what: stage.what,
    why: oneLine(whyOf(subject), longestText),
    outcome: isEnd ? (subject.ended?.outcome ?? null) : null,
    text: stage.text,
    url: subject.url,
    at: stage.at,
  };
}

function whyOf({ labels, annotations, requestedBy, startsAt }: Subject): string {
  if (startsAt !== null) return annotations["summary"] ?? labels["alertname"] ?? "an alert fires";
  return requestedBy === null ? "it was scheduled" : `${requestedBy} asked for it`;
}
