/** Which packages a requirements file asks for otherwise than another text of it does, as lines for people. */

const named = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?=\s*(?:$|[[<>=!~;@]))/;

/** Lines such as `a==2 → a==1`, for what is listed differently in `after`; the order of the lines does not matter. */
export function changedRequirements(before: string, after: string): readonly string[] {
  const [old, now] = [requirementsOf(before), requirementsOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const [was, is] = [old.get(name)?.join(", "), now.get(name)?.join(", ")];
    return was === is ? [] : [`${was ?? "not listed"} → ${is ?? "not listed"}`];
  });
}

/** By the package's name, in whichever of its spellings; what has none, such as an address or an option, is its own name. */
function requirementsOf(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const raw of text.replace(/\\\r?\n/g, " ").split("\n")) {
    const line = raw
      .replace(/(^|\s)#.*$/, "")
      .replace(/\s--hash=\S+/g, "")
      .replace(/\s+/g, " ")
      .trim();
    if (line === "") continue;
    const name =
      named
        .exec(line)?.[0]
        .toLowerCase()
        .replace(/[-_.]+/g, "-") ?? line;
    found.set(name, [...(found.get(name) ?? []), line]);
  }
  return found;
}
