/** Whom a run is handed over to whose playbook this process cannot carry out: also then its text says it. */

import { asMap } from "./parse-part.ts";
import { readYaml } from "./yaml-source.ts";

/**
 * Gives the escalation policy that the text with a hash names; null where it names none. One that the configuration does
 * not have any more, which may be why the text cannot be carried out, gives way to the first that it has: to tell
 * somebody else is better than to tell nobody.
 */
export function createPolicyOf(options: {
  readonly source: (hash: string) => Promise<string | null>;
  readonly policies: readonly string[];
}): (hash: string) => Promise<string | null> {
  const { source, policies } = options;
  return async (hash) => {
    const text = await source(hash);
    const yaml = text === null ? null : readYaml(text);
    const escalate = yaml?.ok ? asMap(yaml.value)?.["escalate"] : null;
    const policy = asMap(escalate)?.["policy"] ?? escalate;
    if (typeof policy !== "string") return null;
    return policies.includes(policy) ? policy : (policies[0] ?? null);
  };
}
