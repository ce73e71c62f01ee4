/** Reads what somebody typed after `/paramedic`: words, quoted where they hold spaces, and what is left as a reason. Pure. */

import { parseDuration } from "../../domain/duration.ts";
import type { Json, JsonObject } from "../../domain/json.ts";
import type { InputDeclaration, Playbook } from "../../domain/playbook.ts";

/** A command that can be done, or one sentence that says how it is to be written. */
export type Line =
  | { readonly do: "runs" | "help" }
  | {
      readonly do: "run";
      readonly playbook: string;
      readonly target: string | null;
      readonly inputs: JsonObject;
      readonly reason: string;
    }
  | { readonly do: "approve"; readonly run: string }
  | { readonly do: "decline"; readonly run: string; readonly reason: string }
  | { readonly do: "pause"; readonly forMs: number | null; readonly reason: string }
  | { readonly do: "resume"; readonly reason: string }
  | { readonly do: "ask-again"; readonly what: string; readonly example: string };

/** What has to be known of a playbook to tell its target and inputs from the reason. */
export type KnownPlaybook = Pick<Playbook, "name" | "target" | "on">;

export function readLine(text: string, playbooks: readonly KnownPlaybook[]): Line {
  const rest = createRest(unescaped(text));
  const verb = rest.word()?.text.toLowerCase() ?? "help";
  switch (verb) {
    case "runs":
    case "help":
      return { do: verb };
    case "run":
      return readRun(rest, playbooks);
    case "approve": {
      const run = runOf(rest);
      return run === null ? askForRun("approve", "approve 01937f7a-5c2e") : { do: "approve", run };
    }
    case "decline": {
      const run = runOf(rest);
      if (run === null) return askForRun("decline", "decline 01937f7a-5c2e the backup is running");
      const reason = rest.text();
      if (reason !== "") return { do: "decline", run, reason };
      return askForReason(`decline ${run} the backup is running`);
    }
    case "pause": {
      const word = rest.peek()?.text ?? "";
      const forMs = parseDuration(word);
      if (forMs !== null) rest.word();
      const reason = rest.text();
      if (reason !== "") return { do: "pause", forMs, reason };
      return askForReason(`pause ${forMs === null ? "30m" : word} we move the database`);
    }
    case "resume":
      return { do: "resume", reason: rest.text() || "resumed in Slack" };
    default:
      return { do: "ask-again", what: `There is no command ${verb.slice(0, 40)}.`, example: "help" };
  }
}

function readRun(rest: Rest, playbooks: readonly KnownPlaybook[]): Line {
  const example = "run database-overload youtility3 the page is slow";
  const name = rest.word()?.text;
  if (name === undefined) return { do: "ask-again", what: "Which playbook, on which target, and why?", example };
  const playbook = playbooks.find((one) => one.name === name);
  const target = readTarget(rest, playbook);
  const inputs: [string, Json][] = [];
  for (let word = rest.peek(); word !== null; word = rest.peek()) {
    const at = word.equals;
    if (at < 1) break;
    rest.word();
    const input = word.text.slice(0, at);
    inputs.push([input, inputValue(word.text.slice(at + 1), playbook?.on.request?.inputs[input])]);
  }
  const reason = rest.text();
  if (reason === "") {
    const given = [name, ...(target === null ? [] : [target]), ...inputs.map(([input, value]) => `${input}=${value}`)];
    return askForReason(`run ${given.join(" ")} the page is slow`);
  }
  // Not by assignment: an input may be called `__proto__`, and is then refused by its name.
  return { do: "run", playbook: name, target, inputs: Object.fromEntries(inputs), reason };
}

/** A playbook with a target of its own, or without one, takes the word only where it is that target. */
function readTarget(rest: Rest, playbook: KnownPlaybook | undefined): string | null {
  const next = rest.peek();
  if (next === null || next.equals > 0) return null;
  const choice = playbook?.target;
  if (choice === null) return null;
  if (choice && "name" in choice && choice.name !== next.text) return null;
  rest.word();
  return next.text;
}

/** What the playbook declares decides what a word is; what does not fit stays text, which is refused by its name. */
function inputValue(text: string, declared: InputDeclaration | undefined): Json {
  if (declared?.type === "boolean" && /^(true|false)$/.test(text)) return text === "true";
  const number = declared?.type === "number" || declared?.type === "integer";
  return number && /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
}

function runOf(rest: Rest): string | null {
  const word = rest.word()?.text.toLowerCase() ?? "";
  return /^[0-9a-f][0-9a-f-]{3,35}$/.test(word) ? word : null;
}

function askForRun(verb: string, example: string): Line {
  return { do: "ask-again", what: `Which run? ${verb} takes its id or the beginning of it.`, example };
}

function askForReason(example: string): Line {
  return { do: "ask-again", what: "Why? A reason is needed, for those who read it afterwards.", example };
}

/** As for the other doors. */
const longestReason = 1_000;

interface Word {
  readonly text: string;
  /** Where the `=` of an input is; -1: there is none outside quotes. */
  readonly equals: number;
}

/** What has not been read yet. */
interface Rest {
  peek(): Word | null;
  word(): Word | null;
  /** All of it, without quotes around the whole. */
  text(): string;
}

// Slack's applications replace quotes while somebody types.
const quotes: Readonly<Record<string, string>> = { '"': '"', "“": "”", "”": "”", "„": "“", "«": "»" };

function createRest(text: string): Rest {
  let at = 0;

  function read(): { readonly word: Word; readonly end: number } | null {
    let here = at;
    while (here < text.length && /\s/.test(text[here] as string)) here += 1;
    if (here >= text.length) return null;
    let word = "";
    let equals = -1;
    let closing: string | null = null;
    for (; here < text.length; here += 1) {
      const one = text[here] as string;
      if (closing !== null) {
        if (one === closing || one === '"') closing = null;
        else word += one;
      } else if (quotes[one] !== undefined && (word === "" || word.endsWith("="))) {
        closing = quotes[one] as string;
      } else if (/\s/.test(one)) {
        break;
      } else {
        if (one === "=" && equals < 0 && /^[A-Za-z_][A-Za-z0-9_]*$/.test(word)) equals = word.length;
        word += one;
      }
    }
    return { word: { text: word, equals }, end: here };
  }

  return {
    peek: () => read()?.word ?? null,
    word: () => {
      const found = read();
      at = found?.end ?? text.length;
      return found?.word ?? null;
    },
    text: () => {
      const left = text.slice(at).trim();
      const inside = /^["“„«](.*)["”“»]$/s.exec(left)?.[1];
      const unquoted = inside !== undefined && !/["“”„«»]/.test(inside) ? inside.trim() : left;
      return unquoted.slice(0, longestReason).toWellFormed();
    },
  };
}

/** Slack sends these three characters as entities. */
function unescaped(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
