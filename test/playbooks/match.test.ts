import * as fc from "fast-check";
import type { Labels } from "../../src/domain/alert.ts";
import { createMatchIndex } from "../../src/playbooks/match.ts";
import { type Matcher, matchesAll, parseMatchers } from "../../src/playbooks/matcher.ts";

function labelsOf(labels: Readonly<Record<string, string>>): Labels {
  return Object.assign(Object.create(null), labels);
}

function playbook(name: string, ...texts: readonly string[]) {
  const matchers: Matcher[] = texts.flatMap((text) => {
    const parsed = parseMatchers(text);
    if (!parsed.ok) throw new Error(parsed.message);
    return parsed.matchers;
  });
  return { name, matchers: matchers.length > 0 ? matchers : null };
}

function namesFor(playbooks: readonly ReturnType<typeof playbook>[], labels: Readonly<Record<string, string>>) {
  return createMatchIndex(playbooks)(labelsOf(labels)).map(({ name }) => name);
}

test("finds the playbooks whose matchers all hold, in the order in which they were given", () => {
  const playbooks = [
    playbook("any-critical", 'severity="critical"'),
    playbook("exact", 'alertname="A"', 'severity="critical"'),
    playbook("other", 'alertname="B"'),
    playbook("either", 'alertname=~"A|B"'),
    playbook("expression", 'alertname=~"A.*"'),
    playbook("on-request-only"),
  ];
  expect(namesFor(playbooks, { alertname: "A", severity: "critical" })).toEqual([
    "any-critical",
    "exact",
    "either",
    "expression",
  ]);
  expect(namesFor(playbooks, { alertname: "B" })).toEqual(["other", "either"]);
  expect(namesFor(playbooks, {})).toEqual([]);
});

test("an alert without a name meets matchers for the empty name", () => {
  const playbooks = [
    playbook("empty", 'alertname=""', 'x="1"'),
    playbook("or-empty", 'alertname=~"A|"', 'x="1"'),
    playbook("prototype", 'alertname="constructor"'),
  ];
  expect(namesFor(playbooks, { x: "1" })).toEqual(["empty", "or-empty"]);
});

test("the index selects what asking every playbook would select", () => {
  const value = fc.constantFrom("A", "B", "A|B", "A.*", "", "constructor", "A|", "a b");
  const operator = fc.constantFrom("=", "!=", "=~", "!~");
  const label = fc.constantFrom("alertname", "alertname", "severity");
  const text = fc.tuple(label, operator, value).map(([name, op, v]) => `${name}${op}"${v}"`);
  const set = fc.array(fc.array(text, { maxLength: 3 }), { maxLength: 8 });
  const labels = fc.dictionary(label, fc.constantFrom("A", "B", "AB", "", "constructor", "A|B", "a b"));
  fc.assert(
    fc.property(set, labels, (texts, alert) => {
      const playbooks = texts.map((some, at) => playbook(String(at), ...some));
      const asked = playbooks.filter(({ matchers }) => matchers !== null && matchesAll(matchers, labelsOf(alert)));
      expect(namesFor(playbooks, alert)).toEqual(asked.map(({ name }) => name));
    }),
    { numRuns: 1_000 },
  );
});

test.each(['alertname=~"NAME|NAMEAgain"', 'alertname="NAME"'])(
  "playbooks for other alert names are not even looked at: %s",
  (template) => {
    let looked = 0;
    const counting = (name: string) => ({
      get matchers() {
        looked++;
        return playbook(name, 'severity="x"', template.replaceAll("NAME", name)).matchers;
      },
    });
    const find = createMatchIndex([...Array(100).keys()].map((at) => counting(`Alert${at}`)));
    looked = 0;
    expect(find(labelsOf({ alertname: "Alert7", severity: "x" }))).toHaveLength(1);
    expect(looked).toBe(1);
  },
);
