/** Names of keys, made fit to be shown: on one line, short, and where they may say too much, only their family. */

// Controls, invisible and direction-changing characters, lone surrogates, line and paragraph separators.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** A key in at most `limit` characters; what is no UTF-8 shows as U+FFFD. */
export function showKey(key: Buffer | string, limit = 80): string {
  const line = key.toString().replace(unprintable, " ");
  const characters = [...line];
  return characters.length <= limit ? line : `${characters.slice(0, limit - 1).join("")}…`;
}

/** What comes before the last colon: the rest may be somebody's session. `session:8c1f` is `session:…`. */
export function familyOf(key: string): string {
  return showKey(`${key.slice(0, key.lastIndexOf(":") + 1)}…`, 60);
}
