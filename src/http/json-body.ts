/** Reads a JSON body within limits. Refuses by its headers what need not be read at all. */

import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";

import type { Problem } from "./problem.ts";

/** The JSON value of a body, or why there is none; null where the caller went away before its end. */
export type JsonBody =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: Problem }
  | null;

/**
 * Makes a reader of JSON bodies of at most `limitBytes` bytes, in which lists and objects are nested at most `maxDepth`
 * deep (left out: not looked at). Of a name that stands twice in an object the last one counts, as `JSON.parse` has it.
 * Throws on a limit that is none: a limit that is ignored would be no limit.
 */
export function createJsonReader(limits: {
  readonly limitBytes: number;
  readonly maxDepth?: number;
}): (request: IncomingMessage) => Promise<JsonBody> {
  const { limitBytes, maxDepth } = limits;
  if (!Number.isSafeInteger(limitBytes) || limitBytes < 1)
    throw new RangeError("limitBytes must be a positive integer");
  if (maxDepth !== undefined && (!Number.isSafeInteger(maxDepth) || maxDepth < 1)) {
    throw new RangeError("maxDepth must be a positive integer");
  }

  return async function readJson(request) {
    const refusal = refusalByHeaders(request, limitBytes);
    if (refusal) return { ok: false, problem: refusal };
    const bytes = await readBytes(request, limitBytes);
    if (bytes === null) return null;
    if (bytes === "too-large") return { ok: false, problem: tooLarge(limitBytes) };
    if (maxDepth !== undefined && deeperThan(bytes, maxDepth)) return { ok: false, problem: tooDeep(maxDepth) };
    const value = parse(bytes);
    if (value === undefined) return { ok: false, problem: malformed };
    return { ok: true, value };
  };
}

function refusalByHeaders(request: IncomingMessage, limitBytes: number): Problem | null {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/json *(; *charset *= *"?utf-8"? *)?$/i.test(type.trim())) return unsupportedType;
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") return unsupportedEncoding;
  const length = request.headers["content-length"];
  return length !== undefined && Number(length) > limitBytes ? tooLarge(limitBytes) : null;
}

function readBytes(request: IncomingMessage, limitBytes: number): Promise<Buffer | "too-large" | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;

    function finish(result: Buffer | "too-large" | null): void {
      request.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose);
      // An aborted request reports an error after we stopped listening; unheard, it would end the process.
      request.on("error", () => {});
      resolve(result);
    }
    function onData(chunk: Buffer): void {
      length += chunk.length;
      if (length > limitBytes) {
        request.pause();
        finish("too-large");
      } else {
        chunks.push(chunk);
      }
    }
    function onEnd(): void {
      finish(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, length));
    }
    function onClose(): void {
      finish(null);
    }
    if (request.destroyed) return resolve(null);
    request.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose);
  });
}

/** Undefined where the bytes are no JSON in UTF-8: no JSON text means that. */
function parse(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

const quote = 0x22;
const backslash = 0x5c;
const openList = 0x5b;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/** Looks at the bytes, because to parse a deep body is already expensive: a second and a hundred MB for 8 MiB. */
function deeperThan(bytes: Buffer, maxDepth: number): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (inText) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inText = false;
    } else if (byte === quote) {
      inText = true;
    } else if (byte === openList || byte === openObject) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (byte === closeList || byte === closeObject) {
      depth -= 1;
    }
  }
  return false;
}

const unsupportedType: Problem = {
  status: 415,
  name: "unsupported-media-type",
  title: "The body must be JSON",
  detail: "Send `Content-Type: application/json`.",
};

const unsupportedEncoding: Problem = {
  status: 415,
  name: "unsupported-content-encoding",
  title: "The body must not be compressed",
  detail: "Send it without a Content-Encoding.",
};

const malformed: Problem = {
  status: 400,
  name: "malformed-json",
  title: "The body is not well-formed JSON in UTF-8",
};

function tooLarge(limitBytes: number): Problem {
  return {
    status: 413,
    name: "body-too-large",
    title: "The body is too large",
    detail: `At most ${limitBytes} bytes are read.`,
  };
}

function tooDeep(maxDepth: number): Problem {
  return {
    status: 400,
    name: "json-too-deep",
    title: "The body is nested too deeply",
    detail: `At most ${maxDepth} levels of lists and objects are read.`,
  };
}
