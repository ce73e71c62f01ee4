/** The routes of playbooks: what is loaded, with hash and source. */

import type { Playbook } from "../domain/playbook.ts";
import type { Problem } from "../http/problem.ts";
import { type Answer, json, type Route, refusal } from "./route.ts";
import type { ApiWorld } from "./world.ts";

export function playbookRoutes(world: ApiWorld): readonly Route[] {
  const byName = new Map(world.playbooks.map((playbook) => [playbook.name, playbook]));
  const all = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(playbookView);

  return [
    {
      method: "GET",
      path: "/api/v1/playbooks",
      role: "viewer",
      answer: async (): Promise<Answer> => json({ playbooks: all }),
    },
    {
      method: "GET",
      path: "/api/v1/playbooks/:name",
      role: "viewer",
      answer: async ({ params }): Promise<Answer> => {
        const playbook = byName.get(params["name"] ?? "");
        return playbook ? json(playbookView(playbook)) : refusal(noSuchPlaybook);
      },
    },
  ];
}

function playbookView(playbook: Playbook) {
  return {
    name: playbook.name,
    summary: playbook.summary,
    hash: playbook.hash,
    on: playbook.on,
    target: playbook.target,
    steps: playbook.steps.map((step) => ({
      id: step.id,
      action: step.do,
      kind: step.kind,
      if: step.if,
      ...(step.kind === "change" ? { risk: step.risk, approval: step.approval } : {}),
    })),
    escalate: playbook.escalate,
    source: playbook.source,
  };
}

const noSuchPlaybook: Problem = {
  status: 404,
  name: "no-such-playbook",
  title: "No playbook of this name is loaded",
  detail: "GET /api/v1/playbooks names those that are.",
};
