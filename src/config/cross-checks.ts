/** What several settings must be together. Works on the raw document, so that it speaks up beside other problems. */

import { approverProblems } from "./approver-checks.ts";
import type { Finding } from "./problems.ts";
import { at, entries, list } from "./raw.ts";

/** No token, names given twice, secrets used for two things, label values of two targets, approvers who cannot be, `__proto__`. */
export function crossCheck(raw: unknown, env: Readonly<Record<string, string | undefined>>): readonly Finding[] {
  return [
    ...tokenFindings(raw),
    ...sharedSecretFindings(raw, env),
    ...labelFindings(raw),
    ...nameFindings(raw),
    ...approverProblems(raw),
    ...prototypeFindings(raw),
  ];
}

/** zod leaves such a key out without a word; what somebody wrote is never ignored. */
function prototypeFindings(value: unknown, path: readonly PropertyKey[] = []): readonly Finding[] {
  if (Array.isArray(value)) return value.flatMap((inner, index) => prototypeFindings(inner, [...path, index]));
  return entries(value).flatMap(([key, inner]) =>
    key === "__proto__"
      ? [{ path: [...path, key], message: "cannot be used as a name here" }]
      : prototypeFindings(inner, [...path, key]),
  );
}

function tokenFindings(raw: unknown): readonly Finding[] {
  const tokens = at(raw, "alertmanager", "tokens");
  if (tokens !== undefined && tokens !== null && (!Array.isArray(tokens) || tokens.length > 0)) return [];
  return [
    {
      path: ["alertmanager", "tokens"],
      message:
        "at least one is needed, or anybody could start playbooks: write tokens: [{ env: ALERTMANAGER_TOKEN }] and give " +
        "Alertmanager the same value as credentials in the authorization of its http_config",
    },
  ];
}

function nameFindings(raw: unknown): readonly Finding[] {
  const seen = new Set<unknown>();
  return list(at(raw, "api", "tokens")).flatMap((token, index) => {
    const name = at(token, "name");
    if (typeof name !== "string") return [];
    if (seen.has(name)) {
      return [
        {
          path: ["api", "tokens", index, "name"],
          message: `the name ${name} is given to two tokens; names are unique`,
        },
      ];
    }
    seen.add(name);
    return [];
  });
}

/** One value in two places would make one caller look like another one. */
function sharedSecretFindings(raw: unknown, env: Readonly<Record<string, string | undefined>>): readonly Finding[] {
  const references = [
    ...list(at(raw, "alertmanager", "tokens")).map((reference, index) => ({
      path: ["alertmanager", "tokens", index],
      reference,
    })),
    ...list(at(raw, "api", "tokens")).map((token, index) => ({
      path: ["api", "tokens", index, "secret"],
      reference: at(token, "secret"),
    })),
  ];
  const seen = new Set<string>();
  return references.flatMap(({ path, reference }) => {
    const name = at(reference, "env");
    const value = typeof name === "string" && Object.hasOwn(env, name) ? env[name] : undefined;
    const file = at(reference, "file");
    const identity = value ? `value ${value}` : typeof file === "string" ? `file ${file}` : null;
    if (identity === null) return [];
    if (seen.has(identity)) return [{ path, message: "the same secret is used for another token; each needs its own" }];
    seen.add(identity);
    return [];
  });
}

function labelFindings(raw: unknown): readonly Finding[] {
  const owners = new Map<string, string>();
  return entries(at(raw, "targets")).flatMap(([target, settings]) =>
    entries(at(settings, "labels")).flatMap(([label, values]) =>
      list(values).flatMap((value, index) => {
        if (typeof value !== "string") return [];
        const key = JSON.stringify([label, value]);
        const owner = owners.get(key);
        owners.set(key, owner ?? target);
        if (owner === undefined || owner === target) return [];
        const message = `${label}=${JSON.stringify(value)} selects ${owner} as well; a label value selects one target`;
        return [{ path: ["targets", target, "labels", label, index], message }];
      }),
    ),
  );
}
