/**
 * Removes what looks like a secret from foreign text: passwords, tokens, keys, logins in addresses. A guess, on the safe
 * side. Every pattern is bounded, so that no text makes it slow.
 */

const hidden = "[redacted]";

const secretWord =
  "(?:pass(?:word|wd|phrase|code|(?![a-z]))|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|" +
  "credential|dsn(?![a-z])|session[-_]?(?:id|key)|cookie|signature)";
/** A name with such a word in it, and what stands between a name and its value. */
const named = `(${secretWord}[\\w.-]{0,40}["']?\\s{0,5}(?:=>|[:=])\\s{0,5})`;

const rules: readonly (readonly [RegExp, string])[] = [
  // A key in PEM, also where it was cut off.
  [/-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$)/g, hidden],
  [/(authorization["']?\s{0,5}[:=]\s{0,5}["']?)(?:(?:bearer|basic|digest|token)\s{1,5})?[^\s"',;]+/gi, `$1${hidden}`],
  [/\b(bearer|basic)\s{1,5}[A-Za-z0-9+/_.~=-]{8,}/gi, `$1 ${hidden}`],
  // The login in an address: scheme://user:password@host
  [/(:\/\/)[^\s"'/]{1,300}@/g, `$1${hidden}@`],
  // name=value and "name": "value". A quoted value goes to its closing quote.
  [new RegExp(`${named}"(?:[^"\\\\]|\\\\.)*"?`, "gi"), `$1"${hidden}"`],
  [new RegExp(`${named}'(?:[^'\\\\]|\\\\.)*'?`, "gi"), `$1'${hidden}'`],
  [new RegExp(`${named}(?!["']?\\[redacted\\])[^\\s"',;&]+`, "gi"), `$1${hidden}`],
  // --password value
  [new RegExp(`(--${secretWord}[\\w-]{0,40}\\s{1,5})(?!\\[redacted\\])[^\\s"']+`, "gi"), `$1${hidden}`],
  // What is known by its form: JSON Web Tokens, keys of AWS, GitHub, Slack and Stripe.
  [/\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g, hidden],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, hidden],
  [/\bgh[pousr]_\w{20,}/g, hidden],
  [/\bxox[abeoprs]-[\w-]{8,}/g, hidden],
  [/\b[rs]k_(?:live|test)_\w{8,}/g, hidden],
];

/** The text without values that look like secrets. */
export function redact(text: string): string {
  return rules.reduce((left, [pattern, by]) => left.replace(pattern, by), text);
}

const secretName = new RegExp(`${secretWord}|^(?:proxy-)?authorization$`, "i");

/** Whether a variable's name says that its value is a secret. */
export function isSecretName(variable: string): boolean {
  return secretName.test(variable);
}

/** JSON in which no text looks like a secret, and none stands under a name that says that it is one. Numbers stay. */
export function redactJson(value: unknown, isSecret = false): unknown {
  if (typeof value === "string") return isSecret && value !== "" ? hidden : redact(value);
  if (Array.isArray(value)) return value.map((one) => redactJson(one, isSecret));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => [name, redactJson(one, isSecret || isSecretName(name))]);
  return Object.fromEntries(entries);
}
