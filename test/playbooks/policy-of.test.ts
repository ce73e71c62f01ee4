import { createPolicyOf } from "../../src/playbooks/policy-of.ts";

const policies = ["application", "database"];
const of = (text: string | null, configured = policies) =>
  createPolicyOf({ source: async () => text, policies: configured })("sha256:0");

test.each<[string, string | null, string | null]>([
  ["the policy", "name: x\nescalate: database", "database"],
  ["the policy of a page that is held", "escalate: { policy: database, hold: 5m }", "database"],
  ["what else it says may be wrong", "escalate: database\nsteps: 7\nnew: [1]", "database"],
  ["a policy that is not there any more: the first that is", "escalate: dba", "application"],
  ["none", "name: x", null],
  ["nothing that could be one", "escalate: [database]", null],
  ["no YAML", "escalate: [", null],
  ["no text", null, null],
])("%s", async (_, text, policy) => {
  expect(await of(text)).toBe(policy);
});

test("where no policy is configured there is none", async () => {
  expect(await of("escalate: database", [])).toBeNull();
});
