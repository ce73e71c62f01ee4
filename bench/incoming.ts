/** Alerts as the store takes them, each with one run of the playbook `benchmark`. */

import { newId } from "../src/ids.ts";
import type { IncomingAlert } from "../src/store/incoming.ts";
import { fingerprintOf, labelsOf, targetCount } from "./notifications.ts";

const source = "alertmanager";

/** Alert `number`, whose run keeps to the playbook text with this hash. */
export function incomingAlert(number: number, playbookHash: string): IncomingAlert {
  const alert = {
    status: "firing" as const,
    labels: labelsOf(number),
    annotations: {},
    startsAt: "2026-01-05T10:00:00.123456Z",
    endsAt: null,
    fingerprint: fingerprintOf(number),
    generatorURL: "",
  };
  const { fingerprint, startsAt, labels, annotations } = alert;
  const trigger = { kind: "alert" as const, source, fingerprint, startsAt, labels, annotations, partial: false };
  const target = `target-${number % targetCount}`;
  const run = { id: newId(), playbook: "benchmark", playbookHash, target, trigger, inputs: {}, dryRun: false };
  return { episodeId: newId(), source, alert, runs: [run] };
}
