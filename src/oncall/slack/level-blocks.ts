/** What Slack's message to somebody in particular says: a level of an escalation, or an entry of a playbook's `notify`. */

import type { RunEvent } from "../../domain/event.ts";
import type { JsonObject } from "../../domain/json.ts";
import { foundIn } from "../found.ts";
import { oneLine } from "../one-line.ts";
import { lastQuestion, type Question } from "../question.ts";
import { riskOf } from "../risk.ts";
import type { Message, Notice, NoticeAction, Subject } from "../way.ts";
import { byPlaybook, cause, causeBlocks, inWords, isWell, onTarget, whatFor } from "./about.ts";
import {
  acknowledgeButton,
  counted,
  effectBlocks,
  foundBlocks,
  header,
  noted,
  planButtons,
  type Saying,
  said,
  smallPrint,
  whereToRead,
} from "./blocks.ts";
import { codeBlock, markup, moment, notification, person, plain } from "./escape.ts";
import { lastTold } from "./thread.ts";

/** Bytes for the effects of a plan that waits for approval, and a smaller number for when Slack refuses that. */
export const roomForEffects = { usual: 3_000, spare: 300 } as const;

const mostTellings = 6;
const fewTellings = 2;

/** What of the message tells its states apart: when this changes, it is edited, and not whenever the story grows. */
export function levelState(message: Message, subject: Subject, notice: Notice): Saying {
  const text = [titleOf(message, subject), ...notice.actions.map(({ request }) => request)].join("\n");
  return { text, blocks: standBlocks(message, subject, notice) };
}

/** The message as it is to stand now. Of the notice come the reason and what the reader can do from a command line. */
export function levelSaying(message: Message, subject: Subject, notice: Notice, room: number): Saying {
  const isOver = subject.recovered;
  const isTaken = subject.acknowledgedBy !== null;
  const title = titleOf(message, subject);
  const isNotify = message.topic === "notify";
  const question = lastQuestion(subject);
  const asks = message.topic === "approval-unasked" && question?.state === "pending" ? question : null;
  const risk = asks && riskOf(asks.step, subject);
  return {
    text: notification(`${title}. ${cause(subject)}`, 300),
    blocks: [
      header(title),
      ...standBlocks(message, subject, notice),
      ...causeBlocks(subject),
      ...foundBlocks(foundIn(subject.story)),
      ...(risk === null ? [] : [noted([`*${risk}.*`])]),
      ...(asks ? [noted([`*Answer before ${moment(asks.expiresAt)}*; no answer means no.`])] : []),
      ...(asks ? planBlocks(asks, subject, room) : []),
      ...(isOver || isTaken || isNotify ? [] : [acknowledgeButton(subject.run)]),
      ...(isOver || (isTaken && !asks) ? [] : notice.actions.slice(0, 4).map(actionBlock)),
      ...storyBlocks(subject, room),
      smallPrint([plain(`${byPlaybook(subject)}. ${toldTo(message)} ${whatFor(subject)}`, 600)]),
      smallPrint([markup(whereToRead(subject))]),
    ],
  };
}

function planBlocks({ approval, digest, effects }: Question, subject: Subject, room: number): readonly JsonObject[] {
  const { blocks, isCut } = effectBlocks(effects, { room, rest: whereToRead(subject) });
  return [
    noted([`*What it will do* (${counted(effects.length, "effect")}):`]),
    ...blocks,
    // It is decided in the run's own message, or from a command line.
    ...planButtons({ approval, digest, run: subject.run }, { asks: false, isCut }),
  ];
}

function titleOf(message: Message, subject: Subject): string {
  const what = onTarget(subject.playbook, subject);
  if (message.topic === "notify") {
    const isAlert = subject.startsAt !== null;
    const name = isAlert ? onTarget(subject.labels["alertname"] ?? "An alert", subject) : what;
    if (subject.recovered && subject.ended && !isWell(subject.ended.outcome)) return `Recovered: ${name}`;
    if (subject.ended) return `${inWords(subject.ended.outcome)}: ${name}`;
    return `${isAlert ? "Firing" : "Running"}: ${name}`;
  }
  if (subject.recovered) return `Recovered: ${what}`;
  if (subject.acknowledgedBy !== null) return `Somebody has it: ${what}`;
  if (message.topic === "held") return `Not fixed yet: ${what}`;
  if (message.topic !== "approval-unasked") return `Needs you: ${what}`;
  const question = lastQuestion(subject);
  if (question?.state === "pending") return `Needs an answer: ${onTarget(question.step, subject)}`;
  return `No answer needed any more: ${question ? onTarget(question.step, subject) : what}`;
}

/** How it stands: who has it, what is over, and why people are told. */
function standBlocks(message: Message, subject: Subject, notice: Notice): readonly JsonObject[] {
  const { acknowledgedBy, recovered, story, ended } = subject;
  const ours: string[] = [];
  const at = (type: RunEvent["type"]) => story.findLast((event) => event.type === type)?.at;
  const since = (time: string | undefined) => (time === undefined ? "" : `, ${moment(time)}`);
  if (recovered) ours.push(`*It is over*${since(at("recovered") ?? at("ended"))}.`);
  if (acknowledgedBy !== null) ours.push(`*${person(acknowledgedBy)} has it*${since(at("acknowledged"))}.`);
  if (ended) ours.push(`The run ended ${ended.outcome}${since(at("ended"))}.`);
  const reason = ended?.reason ?? (message.topic === "notify" ? null : notice.reason);
  return [
    said(opening(message, subject)),
    ...(ours.length > 0 ? [noted(ours)] : []),
    ...(reason ? [said(`Why: ${reason}`)] : []),
  ];
}

function opening(message: Message, subject: Subject): string {
  if (message.topic === "notify") {
    return subject.ended
      ? "Paramedic has dealt with this alert."
      : "This alert fires, and Paramedic runs its playbook.";
  }
  if (subject.recovered) return "What was handed over has recovered. There is nothing left to do.";
  if (subject.acknowledgedBy !== null) return "Nobody else needs to act.";
  if (message.topic === "held") return "Paramedic has not fixed this in time. It goes on trying; please look.";
  if (message.topic === "approval-unasked") {
    return lastQuestion(subject)?.state === "pending"
      ? "A change waits for approval, and Paramedic could not ask for it in its own channel. Please decide."
      : "The question has been decided or withdrawn.";
  }
  return subject.ended?.outcome === "unknown"
    ? "Paramedic cannot tell whether what it did took effect. Please look."
    : "Paramedic could not heal this by itself and hands it over to you.";
}

function actionBlock({ label, command, request }: NoticeAction): JsonObject {
  return noted([`*${notification(label, 60)}*, from a command line:`, codeBlock([command, request])]);
}

/** The last of what happened. */
function storyBlocks(subject: Subject, room: number): readonly JsonObject[] {
  const told = lastTold(subject, room < roomForEffects.usual ? fewTellings : mostTellings);
  return told.length === 0 ? [] : [noted(["*What happened last:*"]), ...told];
}

function toldTo({ topic, policy, level }: Message): string {
  if (topic === "notify") return `For the contact ${oneLine(policy, 100)}.`;
  return `Level ${level + 1} of the policy ${oneLine(policy, 100)}.`;
}
