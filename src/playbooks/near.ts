/** Finds the name that somebody probably meant, for messages about a name that does not exist. */

/** Up to three of the known names that are few changes away from `name`, nearest first. */
export function nearNames(name: string, known: Iterable<string>): readonly string[] {
  const most = name.length <= 3 ? 1 : Math.max(2, Math.floor(name.length / 3));
  return [...known]
    .map((candidate) => ({ candidate, distance: distanceOf(name.slice(0, 100), candidate) }))
    .filter(({ candidate, distance }) => distance <= most || (name.length > 2 && candidate.includes(name)))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** `; did you mean a or b?` or, where nothing is near, what there is. */
export function hint(name: string, known: Iterable<string>): string {
  const all = [...known];
  const near = nearNames(name, all);
  if (near.length > 0) return `; did you mean ${near.join(" or ")}?`;
  if (all.length === 0) return "; there are none";
  const shown = all.slice(0, 12);
  return `; there are: ${shown.join(", ")}${all.length > shown.length ? ", …" : ""}`;
}

function distanceOf(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substituted = (previous[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, (previous[column] as number) + 1, (current[column - 1] as number) + 1));
    }
    previous = current;
  }
  return previous[b.length] as number;
}
