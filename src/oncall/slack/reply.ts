/** What Paramedic says to one person only: beside the message that they pressed a button of, or in answer to their command. */

import type { JsonObject } from "../../domain/json.ts";
import { within } from "../within.ts";
import { markup } from "./escape.ts";
import type { WebCall } from "./web-call.ts";
import type { DoorLog } from "./world.ts";

/** Whom to tell, and where they are. */
export interface Listener {
  readonly user: string;
  readonly channel: string | null;
  /** Slack's address for answers to a command; null: there is none. */
  readonly responseUrl: string | null;
}

/** Says `text`, in Slack's markup. Never rejects: who cannot be told has still done what they did, and the log says so. */
export type Reply = (to: Listener, text: string, signal: AbortSignal) => Promise<void>;

const answerWithinMs = 5_000;
/** Slack takes 3000 characters in one section. */
const mostText = 2_900;

/** `apiUrl` is where the Web API is; answers to commands go there or to Slack's own host, and nowhere else. */
export function createReply(options: {
  readonly call: WebCall;
  readonly apiUrl: string;
  readonly log: DoorLog;
}): Reply {
  const { call, log } = options;
  const own = new URL(options.apiUrl).origin;

  async function byUrl(url: string, said: JsonObject, signal: AbortSignal): Promise<boolean> {
    if (!isAnswerAddress(url, own)) return false;
    const sent = await within(answerWithinMs, signal, async (bounded) => {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json; charset=utf-8" },
        body: JSON.stringify({ response_type: "ephemeral", replace_original: false, ...said }),
        redirect: "error",
        signal: bounded,
      });
      await response.body?.cancel();
      return response.ok;
    }).catch(() => null);
    return sent?.kind === "done" && sent.value;
  }

  return async (to, text, signal) => {
    const said = { text, blocks: sections(text) };
    if (to.responseUrl !== null && (await byUrl(to.responseUrl, said, signal))) return;
    if (to.channel === null) return log.warn({ who: `slack:${to.user}` }, "Somebody in Slack could not be answered");
    const answer = await call("chat.postEphemeral", { channel: to.channel, user: to.user, ...said }, signal);
    if (answer.ok) return;
    log.warn({ who: `slack:${to.user}`, reason: answer.reason }, "Somebody in Slack could not be answered");
  };
}

/** Slack's own host over TLS, or where the configured Web API is. */
function isAnswerAddress(url: string, own: string): boolean {
  if (!URL.canParse(url)) return false;
  const given = new URL(url);
  if (given.username !== "" || given.password !== "") return false;
  return given.origin === "https://hooks.slack.com" || given.origin === own;
}

/** Whole lines in as many sections as they need. */
function sections(text: string): readonly JsonObject[] {
  const texts: string[] = [];
  for (const line of text.split("\n")) {
    const last = texts.at(-1);
    if (last === undefined || last.length + line.length + 1 > mostText) texts.push(line.slice(0, mostText));
    else texts[texts.length - 1] = `${last}\n${line}`;
  }
  return texts.map((one) => ({ type: "section", text: markup(one === "" ? " " : one) }));
}
