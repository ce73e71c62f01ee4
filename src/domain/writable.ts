/** What text the store takes: what a person may write, and what is made of foreign text that it would choke on. */

// Postgres stores no NUL, and no other control character but these two has a meaning in what a person writes.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unwritable = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/** Whether a text can be stored and shown: well-formed Unicode, and no control characters but tabs and line feeds. */
export function isWritable(value: string): boolean {
  return value.isWellFormed() && !unwritable.test(value);
}

// `JSON.stringify` escapes these and other control characters so, and writes everything else as it is.
const unstorable = /\\u(?:0000|d[89a-f][0-9a-f]{2})/;
const escapes = /\\(?:(u0000|ud[89a-f][0-9a-f]{2})|.)/g;

/** The JSON text of a value. A NUL and half a surrogate pair, which Postgres cannot take out of a document again, are U+FFFD. */
export function storableText(value: unknown): string {
  const text = JSON.stringify(value);
  return unstorable.test(text) ? text.replace(escapes, (all, code) => (code ? "\ufffd" : all)) : text;
}

/** The value as it will be read again from the store; the very same one where nothing of it need be changed. */
export function storable<T>(value: T): T {
  const text = JSON.stringify(value);
  return text !== undefined && unstorable.test(text) ? JSON.parse(storableText(value)) : value;
}
