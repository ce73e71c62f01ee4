/** How schedules are looked at: each in every round, whatever goes wrong with another one. What a tick does is in test/store/schedules.test.ts. */

import { newId } from "../../src/ids.ts";
import { loadPlaybooks } from "../../src/playbooks/load.ts";
import { startScheduling } from "../../src/playbooks/scheduling.ts";
import { until } from "../support/until.ts";
import { world } from "./actions.ts";

const scheduled = (name: string) => `name: ${name}
summary: Looks every night.
on: { schedule: "0 2 * * *" }
target: youtility3
steps:
  - { id: activity, do: postgres.activity }
`;

test("one that cannot be dealt with keeps no other one from its time, and is said", async () => {
  const { playbooks, problems } = loadPlaybooks(
    ["first", "second"].map((name) => ({ file: `${name}.yaml`, text: scheduled(name) })),
    world,
  );
  expect(problems).toEqual([]);
  const hinted: string[] = [];
  const lines: string[] = [];
  const scheduling = startScheduling({
    playbooks,
    newId,
    tick: async ({ playbook }) => {
      if (playbook === "first") throw new Error("no connection");
      return { what: "started", run: `a run of ${playbook}` };
    },
    hint: (runs) => void hinted.push(...runs),
    log: {
      info: (_, message) => void lines.push(message),
      warn: (fields, message) => void lines.push(`${message}: ${(fields as { err: Error }).err.message}`),
    },
  });
  try {
    await until(() => hinted.length >= 2, { what: "two rounds" });
  } finally {
    await scheduling.stop();
  }
  expect(new Set(hinted)).toEqual(new Set(["a run of second"]));
  expect(new Set(lines)).toEqual(
    new Set(["a scheduled run was started", "could not look which schedules are due; looking again: no connection"]),
  );
});
