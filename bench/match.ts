/** How long it takes to find the playbook of an alert, beside as many playbooks that answer other alerts. */

import { createMatchIndex } from "../src/playbooks/match.ts";
import { parseMatchers } from "../src/playbooks/matcher.ts";
import type { Ground } from "./ground.ts";
import { compare, type Row } from "./row.ts";
import { median } from "./statistics.ts";

const rounds = 7;
const matches = 200_000;
const labels = { alertname: "DatabaseOverload", severity: "critical", service: "youtility3", instance: "db-1:9187" };

export async function match(_: Ground): Promise<readonly Row[]> {
  const counts = [1, 1_000, 10_000];
  const indexes = counts.map(indexAmong);
  const times = counts.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [position, index] of indexes.entries()) {
      const microseconds = timeOf(index);
      if (round > 0) times[position]?.push(microseconds);
    }
  }
  const baseline = median(times[0] ?? []);
  return counts.slice(1).map((count, position) => {
    const what = `match among ${count.toLocaleString("en-US")} playbooks, beside 1`;
    return compare({ what, unit: "µs", ours: median(times[position + 1] ?? []), baseline }, { atMost: 1.5 });
  });
}

type Index = ReturnType<typeof indexAmong>;

function indexAmong(count: number) {
  const names = ["DatabaseOverload", ...Array.from({ length: count - 1 }, (_, index) => `AnotherAlert${index}`)];
  return createMatchIndex(
    names.map((name) => {
      const parsed = parseMatchers(`alertname="${name}",severity=~"warning|critical"`);
      if (!parsed.ok) throw new Error(parsed.message);
      return { matchers: parsed.matchers };
    }),
  );
}

function timeOf(index: Index): number {
  const started = performance.now();
  let found = 0;
  for (let turn = 0; turn < matches; turn++) found += index(labels).length;
  if (found !== matches) throw new Error(`${found} of ${matches} alerts found their playbook`);
  return ((performance.now() - started) * 1_000) / matches;
}
