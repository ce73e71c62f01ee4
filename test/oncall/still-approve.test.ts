/** Who may still approve when the plan is about to be applied: looked up anew, and what cannot be looked up is not allowed. */

import { type Person, whyNotApprover } from "../../src/domain/approver.ts";
import { mayStillApprove, type StillApprove } from "../../src/oncall/still-approve.ts";

type Found = Awaited<ReturnType<NonNullable<StillApprove["find"]>>>;

const sets = new Map([["dba", { name: "dba", users: ["U0DBA"], groups: ["S0DBA"], tokens: ["dba-cli"] }]]);
const never = new AbortController().signal;
const away: Found = { ok: false, refused: false, reason: "Slack does not answer", retryable: true };

/** Slack, with what it says of each user in turn; the last answer stays. */
function parts(
  answers: Readonly<Record<string, readonly Found[]>> | null,
): StillApprove & { readonly asked: string[] } {
  const asked: string[] = [];
  const left = new Map(Object.entries(answers ?? {}).map(([user, all]) => [user, [...all]]));
  return {
    asked,
    tokens: new Map([
      ["boss", { role: "approver", slack: null }],
      ["screen", { role: "viewer", slack: null }],
      ["dba-cli", { role: "admin", slack: null }],
      ["own-cli", { role: "approver", slack: "U0OWN" }],
    ]),
    find: answers
      ? async (user) => {
          asked.push(user);
          const all = left.get(user) ?? [];
          return (all.length > 1 ? all.shift() : all[0]) ?? away;
        }
      : null,
    whyNot: (person, approvers) => whyNotApprover(person, approvers, sets),
  };
}

const found = (user: string, over: Partial<Person> = {}): Found => ({
  ok: true,
  person: { who: `slack:${user}`, role: "approver", groups: [], ...over },
});

const allowed = { allowed: true, reason: null };

test.each<[string, readonly string[], readonly string[], Readonly<Record<string, readonly Found[]>> | null, object]>([
  ["a token that has the role", ["api:boss"], [], null, allowed],
  [
    "a token that is not configured any more",
    ["api:gone"],
    [],
    null,
    { allowed: false, reason: expect.stringMatching(/^api:gone has the role none/) },
  ],
  [
    "a token whose role was taken away",
    ["api:screen"],
    [],
    null,
    { allowed: false, reason: "api:screen has the role viewer, and this needs approver" },
  ],
  ["a token in the set that is asked for", ["api:dba-cli"], ["dba"], null, allowed],
  [
    "a token that is not in it",
    ["api:boss"],
    ["dba"],
    null,
    { allowed: false, reason: "api:boss is not among the approvers 'dba'" },
  ],
  [
    "a token whose person is in the group",
    ["api:own-cli"],
    ["dba"],
    { U0OWN: [found("U0OWN", { groups: ["S0DBA"] })] },
    allowed,
  ],
  [
    "a token whose person is in no such group",
    ["api:own-cli"],
    ["dba"],
    { U0OWN: [found("U0OWN")] },
    { allowed: false, reason: "api:own-cli is not among the approvers 'dba'" },
  ],
  [
    "a token whose person Slack has deactivated",
    ["api:own-cli"],
    ["dba"],
    { U0OWN: [{ ok: false, refused: true, reason: "is deactivated in Slack", retryable: false }] },
    { allowed: false, reason: "api:own-cli is deactivated in Slack" },
  ],
  ["a token whose role is enough, whatever Slack says", ["api:own-cli"], [], { U0OWN: [away] }, allowed],
  [
    "somebody in Slack who is still in the group",
    ["slack:U0A"],
    ["dba"],
    { U0A: [found("U0A", { groups: ["S0DBA"] })] },
    allowed,
  ],
  [
    "somebody who left the group after the click",
    ["slack:U0A"],
    ["dba"],
    { U0A: [found("U0A")] },
    { allowed: false, reason: "slack:U0A is not among the approvers 'dba'" },
  ],
  [
    "somebody whom Slack has deactivated",
    ["slack:U0A"],
    [],
    { U0A: [{ ok: false, refused: true, reason: "is deactivated in Slack", retryable: false }] },
    { allowed: false, reason: "slack:U0A is deactivated in Slack" },
  ],
  [
    "somebody who cannot be looked up for good",
    ["slack:U0A"],
    [],
    { U0A: [{ ...away, retryable: false, reason: "invalid_auth" }] },
    { allowed: false, reason: "slack:U0A cannot be looked up any more: invalid_auth" },
  ],
  [
    "somebody of a Slack that is not configured any more",
    ["slack:U0A"],
    [],
    null,
    { allowed: false, reason: expect.stringContaining("no Slack") },
  ],
  [
    "one of two who may not any more",
    ["api:boss", "slack:U0A"],
    [],
    { U0A: [found("U0A", { role: "operator" })] },
    { allowed: false, reason: "slack:U0A has the role operator, and this needs approver" },
  ],
  ["two who both may", ["api:boss", "slack:U0A"], [], { U0A: [found("U0A")] }, allowed],
  ["somebody of a door that is not known", ["pigeon:1"], [], {}, { allowed: false, reason: expect.any(String) }],
])("%s", async (_who, by, approvers, answers, expected) => {
  expect(await mayStillApprove(parts(answers))(by, approvers, never)).toEqual(expected);
});

test("a Slack that does not answer is asked again before anybody is refused", async () => {
  const slack = parts({ U0A: [away, found("U0A")] });
  expect(await mayStillApprove(slack)(["slack:U0A"], [], never)).toEqual(allowed);
  expect(slack.asked).toEqual(["U0A", "U0A"]);
});

test("a Slack that never answers is asked three times", async () => {
  const slack = parts({ U0A: [away] });
  expect(await mayStillApprove(slack)(["slack:U0A"], [], never)).toEqual({
    allowed: false,
    reason: "slack:U0A cannot be looked up any more: Slack does not answer",
  });
  expect(slack.asked).toHaveLength(3);
});

test("nobody is waited for once the worker must stop", async () => {
  const stopping = new AbortController();
  const slack = parts({ U0A: [away] });
  const answer = mayStillApprove(slack)(["slack:U0A"], [], stopping.signal);
  stopping.abort(new Error("the process is stopping"));
  expect((await answer).allowed).toBe(false);
  expect(slack.asked.length).toBeLessThanOrEqual(2);
});
