/** Names and patterns with `*` and `?`, and nothing else that means something. */

/** Whether the whole name is as the pattern says, in time that grows with their lengths only. */
export function matchesGlob(pattern: string, name: string): boolean {
  let [at, of] = [0, 0];
  let [star, after] = [-1, 0];
  while (at < name.length) {
    if (pattern[of] === "*") {
      [star, after] = [of++, at];
    } else if (of < pattern.length && (pattern[of] === "?" || pattern[of] === name[at])) {
      at++;
      of++;
    } else if (star >= 0) {
      of = star + 1;
      at = ++after;
    } else return false;
  }
  while (pattern[of] === "*") of++;
  return of === pattern.length;
}
