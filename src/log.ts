/** The logger: pino, one JSON line for each entry, with secrets removed by the name of their field and by their value. */

import { type LoggerOptions, type Logger as PinoLogger, pino, stdSerializers, stdTimeFunctions } from "pino";

export type Logger = PinoLogger;

/** Where lines go; standard output is one. */
export interface LogDestination {
  write(line: string): void;
}

const removed = "[secret]";

/** A field whose name contains one of these, in any case, with or without `-` and `_`, never shows its value. */
const secretNames =
  /authorization|cookie|token|secret|passw(?:or)?d|passphrase|api[-_]?key|private[-_]?key|access[-_]?key|routing[-_]?key|credential/i;

/** A password inside a URL, whatever the URL is of. */
const urlPassword = /(:\/\/[^\s/:@"]*:)[^\s/@"]+@/;
const everyUrlPassword = new RegExp(urlPassword, "g");

/** Characters that are legal in JSON and still move a terminal's cursor, end a line or turn text around. */
const unprintable = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const everyUnprintable = new RegExp(unprintable, "g");

/** Shorter values are words that stand in any text; they are still removed by field name and inside URLs. */
const shortestValue = 4;

/**
 * Makes the logger. Each of `secrets` is replaced wherever it appears: in messages, fields at any depth, errors and
 * their stacks. Without `destination`, lines go to standard output.
 */
export function createLogger(options: {
  readonly level: LoggerOptions["level"] & string;
  readonly secrets: readonly string[];
  readonly destination?: LogDestination;
}): Logger {
  const destination = options.destination ?? pino.destination({ fd: 1, sync: true });
  const clean = createCleaner(options.secrets);
  return pino(
    {
      level: options.level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.err, error: stdSerializers.err },
    },
    { write: (line: string) => void destination.write(clean(line)) },
  );
}

/**
 * Cleans finished lines. Almost all of them need nothing but three searches; only a line in which one of them finds
 * something is taken apart.
 */
function createCleaner(secrets: readonly string[]): (line: string) => string {
  const values = secrets.filter((value) => value.length >= shortestValue);
  const forms = new Set(values.flatMap((value) => [value, encodeURIComponent(value.toWellFormed())]));
  const asWritten = anyOf([...forms].map((form) => JSON.stringify(form).slice(1, -1)));
  const asMeant = anyOf([...forms]);

  function cleanText(text: string): string {
    const withoutValues = asMeant ? text.replace(asMeant, removed) : text;
    return withoutValues.replace(everyUrlPassword, `$1${removed}@`);
  }

  function cleanValue(value: unknown): unknown {
    if (typeof value === "string") return cleanText(value);
    if (typeof value === "number") return cleanText(String(value)) === String(value) ? value : removed;
    if (Array.isArray(value)) return value.map(cleanValue);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        cleanText(name),
        secretNames.test(name) && isTelling(inner) ? removed : cleanValue(inner),
      ]),
    );
  }

  function takeApart(line: string): string {
    try {
      return `${JSON.stringify(cleanValue(JSON.parse(line)))}\n`;
    } catch {
      // A serializer wrote what is no JSON. To log is not worth an exception, and not worth a secret.
      return `{"level":"error","time":"${new Date().toISOString()}","msg":"A log line could not be cleaned and is left out"}\n`;
    }
  }

  return function clean(line) {
    const suspect =
      secretNames.test(line) || urlPassword.test(line) || (asWritten !== null && line.search(asWritten) >= 0);
    const cleaned = suspect ? takeApart(line) : line;
    if (!unprintable.test(cleaned)) return cleaned;
    return cleaned.replace(
      everyUnprintable,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  };
}

function isTelling(value: unknown): boolean {
  return value !== null && typeof value !== "boolean" && value !== "";
}

/** One expression for all texts, longest first so that none leaves the rest of another one behind; null for none. */
function anyOf(texts: readonly string[]): RegExp | null {
  if (texts.length === 0) return null;
  const escaped = [...texts]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  return new RegExp(escaped.join("|"), "g");
}
