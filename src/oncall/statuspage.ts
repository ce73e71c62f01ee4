/**
 * Announcements on Atlassian Statuspage, which everybody may read: the target's name, the playbook's sentence and how it
 * went, and nothing of labels, effects or hosts. Its REST API: developer.statuspage.io.
 */

import type { Followed } from "../domain/followed.ts";
import type { JsonObject } from "../domain/json.ts";
import { isLast, isOver, type Stage, stagesOf } from "./announcement.ts";
import { callJson, type JsonCall, type Refused } from "./json-call.ts";
import { oneLine } from "./one-line.ts";
import type { Follow, Message, Subject } from "./way.ts";

/** Statuspage's limit for a name. */
const longestName = 255;
/** What Statuspage lists at a time, and how many such lists are looked through. */
const listed = 100;
const mostLists = 5;

type Status = "identified" | "monitoring" | "investigating" | "resolved";

const statusOf: Readonly<Record<Stage["kind"], Status>> = {
  announced: "identified",
  changed: "monitoring",
  "not-well": "investigating",
  well: "resolved",
  "called-off": "resolved",
  recovered: "resolved",
};

/** What stands on the page of one run. */
interface Entry {
  readonly id: string;
  readonly status: string;
}

type Asked<T> = { readonly ok: true; readonly value: T } | Refused;
type Ask = (method: JsonCall["method"], path: string, signal: AbortSignal, body?: object) => Promise<Asked<unknown>>;

/**
 * Only the newest stage is shown, and a run that is over before it was shown is not shown at all. Whether an entry is
 * there, and what it says, is looked up before it is created again or updated: an answer may have been lost, and people
 * may have closed it.
 */
export function followStatuspage(options: {
  /** The page's address in the API. */
  readonly page: string;
  readonly token: string;
  readonly timeoutMs: number;
}): Follow {
  const ask = asker(options);
  return async (message, subject, signal) => {
    const newest = stagesOf(subject).at(-1);
    if (!newest) return shown(message, subject, message.place, null, subject.ended !== null);
    const done = isLast(subject, newest);
    if (newest.seq <= message.shownSeq) return shown(message, subject, message.place, null, done);
    const found = await entryOf(ask, message, subject, signal);
    if (!found.ok) return failed(found, message);
    if (!found.value && isOver(newest)) return shown(message, subject, null, null, done);
    const entry = found.value ? asked(found.value) : await created(ask, subject, newest, signal);
    if (!entry.ok) return failed(entry, message);
    const place = { id: entry.value.id };
    const told = message.place === null ? "the status page" : null;
    // People closed it: opening it again would be a decision against theirs.
    if (isClosed(entry.value)) return shown(message, subject, place, told, true);
    if (entry.value.status === statusOf[newest.kind]) return shown(message, subject, place, told, done);
    const body = { incident: { status: statusOf[newest.kind], body: newest.text } };
    const updated = await ask("PATCH", `/incidents/${encodeURIComponent(place.id)}`, signal, body);
    return updated.ok ? shown(message, subject, place, told, done) : failed(updated, message);
  };
}

/** What is on the page of this run; null: nothing yet. */
async function entryOf(
  ask: Ask,
  message: Message,
  subject: Subject,
  signal: AbortSignal,
): Promise<Asked<Entry | null>> {
  const id = message.place?.["id"];
  if (typeof id === "string") {
    const answer = await ask("GET", `/incidents/${encodeURIComponent(id)}`, signal);
    return answer.ok ? entryIn(answer.value) : answer;
  }
  // A first attempt may still be a second telling: of a process that stopped, or of what was given up and is tried again.
  if (message.fence === 1) return asked(null);
  for (let page = 1; page <= mostLists; page += 1) {
    const answer = await ask("GET", `/incidents/unresolved?page=${page}&per_page=${listed}`, signal);
    if (!answer.ok) return answer;
    if (!Array.isArray(answer.value)) return unreadable;
    const found = answer.value.find((one) => runIn(one) === subject.run);
    if (found) return entryIn(found);
    if (answer.value.length < listed) break;
  }
  return asked(null);
}

async function created(ask: Ask, subject: Subject, stage: Stage, signal: AbortSignal): Promise<Asked<Entry>> {
  const name = oneLine(
    `${subject.target ?? "Automatic change"}: ${subject.summary ?? "automatic change"}`,
    longestName,
  );
  const incident = {
    name,
    status: statusOf[stage.kind],
    body: stage.text,
    metadata: { paramedic: { run: subject.run } },
  };
  const answer = await ask("POST", "/incidents", signal, { incident });
  return answer.ok ? entryIn(answer.value) : answer;
}

function asked<T>(value: T): Asked<T> {
  return { ok: true, value };
}

function entryIn(value: unknown): Asked<Entry> {
  const { id, status } = (typeof value === "object" && value !== null ? value : {}) as Partial<Entry>;
  return typeof id === "string" && typeof status === "string" ? asked({ id, status }) : unreadable;
}

function runIn(value: unknown): unknown {
  return (value as { readonly metadata?: { readonly paramedic?: { readonly run?: unknown } } } | null)?.metadata
    ?.paramedic?.run;
}

function isClosed({ status }: Entry): boolean {
  return status === "resolved" || status === "postmortem";
}

/** Where the address is that of some other server, it may come right only when somebody corrects it. */
const unreadable: Refused = {
  ok: false,
  status: null,
  reason: "The status page answered with something else than Statuspage's JSON. Check statusPage.url.",
  retryable: true,
};

function asker({ page, token, timeoutMs }: Parameters<typeof followStatuspage>[0]): Ask {
  const headers = { authorization: `OAuth ${token}` };
  const name = "The status page";
  return async (method, path, signal, body) => {
    const url = new URL(`${page}${path}`);
    const given = body === undefined ? {} : { body };
    const answer = await callJson({ method, url, headers, timeoutMs, name, secret: token, ...given }, signal);
    return answer.ok ? asked(answer.body) : answer;
  };
}

function shown(
  message: Message,
  subject: Subject,
  place: JsonObject | null,
  told: string | null,
  done: boolean,
): Followed {
  return { ok: true, place, shownSeq: subject.story.at(-1)?.seq ?? message.shownSeq, told, done };
}

function failed({ status: _, ok, ...failure }: Refused, { place, shownSeq }: Message): Followed {
  return { ok, ...failure, place, shownSeq };
}
