/** Hostile values, for wherever text comes in: of SQL, shells, paths, units, URLs, templates, globs, and of names that JavaScript knows. */

/** Stands in those that would do something, so that it can be looked for where nothing of them may be. */
export const marker = "Zq7marker";

/** What may be in no statement, argument or URL. */
export const traces = /zq7marker|169\.254|etc\/passwd/i;

export const payloads: readonly string[] = [
  "",
  " ",
  "*",
  "%",
  ".*",
  "all",
  "null",
  "undefined",
  `'; DROP TABLE ${marker}; --`,
  `" OR 1=1 --${marker}`,
  `$(touch /tmp/${marker})`,
  `\`id ${marker}\``,
  `; reboot # ${marker}`,
  "../../etc/passwd",
  "..%2f..%2fetc%2fpasswd",
  "a.service b.service",
  "-H root@elsewhere",
  "--help",
  `http://169.254.169.254/${marker}`,
  `//evil.example/${marker}`,
  "file:///etc/passwd",
  `\${{ steps.activity }}${marker}`,
  `ward\n${marker}`,
  "WARD",
  "ward ",
  "__proto__",
  "constructor",
  "toString",
];
