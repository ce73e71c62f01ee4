/** The routes that operators' tools ask: alive, ready, metrics. */

import { type Answer, json, type Route } from "./route.ts";
import type { ApiWorld } from "./world.ts";

export function operatingRoutes(world: ApiWorld): readonly Route[] {
  return [
    { method: "GET", path: "/healthz", role: null, answer: async (): Promise<Answer> => json({ status: "ok" }) },
    {
      method: "GET",
      path: "/readyz",
      role: null,
      answer: async (): Promise<Answer> => {
        const { ready, body } = await world.readiness();
        return json(body, ready ? 200 : 503);
      },
    },
    {
      method: "GET",
      path: "/metrics",
      role: "viewer",
      answer: async (): Promise<Answer> => ({
        kind: "text",
        contentType: world.metrics.contentType,
        text: await world.metrics.render(),
      }),
    },
  ];
}
