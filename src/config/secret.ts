/** Secrets as the configuration holds them: they show themselves only when asked to, and worthless ones are refused. */

import { inspect } from "node:util";

/** A secret that prints as `[secret]` wherever it is logged, inspected or made into JSON. */
export interface Secret {
  /** The value itself: for the one place that sends it or compares with it. */
  reveal(): string;
  toJSON(): string;
  toString(): string;
}

const hidden = "[secret]";

/** Wraps a value so that it cannot be printed by accident. */
export function createSecret(value: string): Secret {
  return Object.freeze({
    reveal: () => value,
    toJSON: () => hidden,
    toString: () => hidden,
    [inspect.custom]: () => hidden,
  });
}

/**
 * What a secret is for: a bearer token that we check, the address of a service with a password in it, an address that is
 * a secret as a whole, or a credential that we present.
 */
export type SecretUse = "token" | "url" | "address" | "credential";

const shortestToken = 8;

/** Values that stand in examples, images and manuals. Compared in lower case, without punctuation and final digits. */
const wellKnown = new Set(
  (
    "changeme changethis changeit change replaceme password passwd passw0rd p4ssw0rd pass pwd secret supersecret topsecret " +
    "mysecret yoursecret token mytoken yourtoken yourtokenhere apikey yourapikey bearer admin administrator root user " +
    "guest test testing example sample demo default dummy placeholder todo none null undefined letmein welcome qwerty " +
    "qwertyuiop iloveyou abc abcdef abcdefgh abcdefghijkl insecure unsafe paramedic alertmanager"
  ).split(" "),
);

/** Why a value is no secret at all, as the end of a sentence about it; null where nothing speaks against it. */
export function weakness(value: string, use: SecretUse): string | null {
  if (value.trim() === "") return "is empty";
  if (use === "url" || use === "address") return null;
  const bare = value.toLowerCase().replace(/[^a-z0-9]/g, "");
  const word = bare.replace(/\d+$/, "");
  if (wellKnown.has(bare) || wellKnown.has(word)) return "is a well-known default; generate a random one";
  if (/^(.)\1*$/u.test(value) || word === "") {
    if (use === "token" || bare === "") return "can be guessed; generate a random one";
  }
  if (use !== "token") return null;
  if (!/^[\x21-\x7e]+$/.test(value)) return "must consist of printable ASCII characters without spaces";
  if (value.length < shortestToken) return `is shorter than ${shortestToken} characters; generate a random one`;
  return null;
}

/** What must not be shown of a secret: of an address that is one as a whole, also the path, which is the secret part. */
export function secretsIn(value: string, use: SecretUse): readonly string[] {
  if (use === "token" || use === "credential") return [value];
  if (use === "url" || !URL.canParse(value)) return passwordsOf(value);
  const { pathname, search } = new URL(value);
  const path = `${pathname}${search}`;
  return [value, ...(path.length < shortestToken ? [] : [path]), ...passwordsOf(value)];
}

/** The passwords inside a URL, as written and decoded. None where it is no URL or holds none. */
export function passwordsOf(url: string): readonly string[] {
  if (!URL.canParse(url)) return [];
  const parsed = new URL(url);
  const found = new Set([parsed.password, parsed.searchParams.get("password") ?? ""]);
  const written = /^[^:]+:\/\/[^/@]*?:([^@/]*)@/.exec(url)?.[1];
  if (written) found.add(written);
  for (const password of [...found]) {
    try {
      found.add(decodeURIComponent(password));
    } catch {
      // A stray per cent sign: the written form is all there is.
    }
  }
  found.delete("");
  return [...found];
}
