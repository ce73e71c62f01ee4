/** What a run's own message in Slack shows: the question while one waits, the record of what became of it afterwards. */

import type { JsonObject } from "../../domain/json.ts";
import { foundIn } from "../found.ts";
import { oneLine } from "../one-line.ts";
import { lastQuestion, type Question } from "../question.ts";
import { actionAndRisk, riskOf } from "../risk.ts";
import type { Subject } from "../way.ts";
import { byPlaybook, cause, causeBlocks, inWords, isWell, onTarget, whatFor, whyAsked } from "./about.ts";
import {
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
import { code, moment, notification, person, plain } from "./escape.ts";
import { planTitle } from "./plan-window.ts";

/**
 * Bytes for the effects. Slack refuses a message of blocks beyond some 13,200 characters (slackapi/bolt-js#2509); `spare`
 * is for when it refuses even this.
 */
export const roomForEffects = { usual: 6_000, spare: 600 } as const;

/** The message as it is to stand now, with the effects cut to `room` bytes. */
export function recordSaying(subject: Subject, room: number): Saying {
  const question = lastQuestion(subject);
  const asks = question?.state === "pending";
  const title = titleOf(subject, question);
  return {
    text: notification(asks ? `${title} ${cause(subject)}` : title, 300),
    blocks: [
      header(title),
      ...endBlocks(subject),
      ...(question && !asks ? decisionBlocks(question, subject) : []),
      ...causeBlocks(subject),
      ...foundBlocks(foundIn(subject.story)),
      ...(question && asks ? [noted([...risk(question, subject), ...demand(question)])] : []),
      ...(question ? planBlocks(question, subject, room) : []),
      smallPrint([plain(basis(subject, question), 600)]),
      smallPrint([{ type: "mrkdwn", text: whereToRead(subject), verbatim: true }]),
    ],
  };
}

function titleOf(subject: Subject, question: Question | null): string {
  if (question?.state === "pending") return `Approve ${onTarget(question.step, subject)}?`;
  if (subject.ended) return `${inWords(subject.ended.outcome)}: ${onTarget(subject.playbook, subject)}`;
  if (question) return `${stateWords[question.state]}: ${onTarget(question.step, subject)}`;
  return `Running: ${onTarget(subject.playbook, subject)}`;
}

const stateWords: Readonly<Record<Question["state"], string>> = {
  pending: "Waiting",
  approved: "Approved",
  declined: "Declined",
  expired: "Expired",
  withdrawn: "Withdrawn",
};

/** What doing it wrongly would cost. */
function risk({ step }: Question, subject: Subject): readonly string[] {
  const words = riskOf(step, subject);
  return words === null ? [] : [`*${words}.*`];
}

/** What an answer must be and until when: the line under what fired. */
function demand(question: Question): readonly string[] {
  const people =
    question.atLeast === 1 ? "Needs 1 approval" : `Needs ${question.atLeast} approvals by different people`;
  const sets = question.approvers.map((name) => code(oneLine(name, 100))).slice(0, 10);
  const from = sets.length > 0 ? `, from ${sets.join(" and ")}` : "";
  const given = question.answers.filter(({ decision }) => decision === "approve").map(({ by }) => person(by));
  return [
    `*Answer before ${moment(question.expiresAt)}*; no answer means no.`,
    `${people}${from}.${given.length > 0 ? ` Approved so far by ${given.slice(0, 20).join(", ")}.` : ""}`,
  ];
}

function planBlocks(question: Question, subject: Subject, room: number): readonly JsonObject[] {
  const { approval, digest, effects, state } = question;
  const { blocks, isCut } = effectBlocks(effects, { room, rest: whereToRead(subject) });
  return [
    noted([`*${planTitle(state)}* (${counted(effects.length, "effect")}):`]),
    ...blocks,
    ...planButtons({ approval, digest, run: subject.run }, { asks: state === "pending", isCut }),
  ];
}

/** Who decided, when and why. */
function decisionBlocks({ state, answers, closed, atLeast }: Question, { ended }: Subject): readonly JsonObject[] {
  const lines = answers
    .slice(0, 20)
    .map(
      ({ by, at, decision }) =>
        `*${decision === "approve" ? "Approved" : "Declined"}* by ${person(by)}, ${moment(at)}.`,
    );
  if (state === "expired" && closed) {
    const few =
      answers.length > 0 ? `only ${answers.length} of ${atLeast} approved in time` : "nobody answered in time";
    lines.push(`*Expired*, ${moment(closed.at)}: ${few}.`);
  }
  if (state === "withdrawn" && closed)
    lines.push(`*Withdrawn*, ${moment(closed.at)}; an answer does not count any more.`);
  const reasons = [
    ...answers.slice(0, 20).flatMap(({ reason }) => (reason ? [`“${oneLine(reason, 300)}”`] : [])),
    ...(state === "withdrawn" && closed?.reason && closed.reason !== ended?.reason ? [`Why: ${closed.reason}`] : []),
  ];
  return [...(lines.length > 0 ? [noted(lines)] : []), ...reasons.slice(0, 5).map((reason) => said(reason, 300))];
}

/** How the run ended, and what became of it since. */
function endBlocks(subject: Subject): readonly JsonObject[] {
  const { ended, story, acknowledgedBy, recovered } = subject;
  if (!ended) return [];
  const at = story.find((event) => event.type === "ended")?.at;
  return [
    noted([
      `*Ended ${ended.outcome}*${at ? `, ${moment(at)}` : ""}.`,
      ...(acknowledgedBy === null ? [] : [`${person(acknowledgedBy)} has it.`]),
      ...(recovered && !isWell(ended.outcome) ? ["It has recovered since."] : []),
    ]),
    said(ended.reason),
  ];
}

/** Small print: by which playbook, and why a person is asked. */
function basis(subject: Subject, question: Question | null): string {
  const playbook = byPlaybook(subject);
  if (!question) return `${playbook}. ${whatFor(subject)}`;
  const what = actionAndRisk(question.step, subject);
  const why = question.reasons.map(whyAsked).join(", ");
  const step = `step ${oneLine(question.step, 100)}${what && ` (${oneLine(what, 100)})`}`;
  return `${playbook}, ${step}. ${why && `Asks because ${why}.`} ${whatFor(subject)}`;
}
