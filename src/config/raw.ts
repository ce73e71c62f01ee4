/** Looks into a document whose shape nobody has checked. */

/** What stands at a path; undefined where there is nothing. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

/** The items of a list; none of anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The keys and values of a map; none of anything else. */
export function entries(value: unknown): readonly [string, unknown][] {
  return isMap(value) ? Object.entries(value) : [];
}

/** Whether it is a map, and no list. */
export function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
