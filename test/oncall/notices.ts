/** Notices for the tests of the ways: every value has a default, tests name what matters. */

import type { Notice } from "../../src/oncall/way.ts";
import { begin, happened, historyOf } from "../support/builders.ts";

/** A run that was escalated with what it tried. */
export function noticeOf(over: Partial<Notice> = {}): Notice {
  return {
    kind: "handed-over",
    run: "0190f3c2-5a5e-7000-8000-00000000abcd",
    playbook: "database-overload",
    target: "youtility3",
    outcome: "ineffective",
    reason: "the measurement is not as expected after 2m",
    policy: "database",
    level: 1,
    levels: 2,
    episodeKey: "0190f3c2-1111-7000-8000-00000000cafe",
    labels: { alertname: "DatabaseOverload", severity: "warning", service: "yt3", instance: "db-1:9187", job: "pg" },
    annotations: { summary: "The database is busy" },
    startsAt: new Date(begin - 60_000).toISOString(),
    story: historyOf(
      1,
      happened.planned("d1", ["cancel the query of pid 4242, active for 812 s", "cancel the query of pid 4243"]),
      2,
      happened.started(),
      3,
      happened.finished(),
      120,
      happened.checked(false),
      happened.escalated(),
      happened.ended("ineffective"),
    ),
    url: "https://paramedic.example.net/runs/0190f3c2-5a5e-7000-8000-00000000abcd",
    acknowledge: {
      command: "paramedic ack 0190f3c2-5a5e-7000-8000-00000000abcd",
      request:
        "curl -X POST https://paramedic.example.net/api/v1/runs/0190f3c2-5a5e-7000-8000-00000000abcd/acknowledge",
    },
    ...over,
  };
}

/** What an attacker who may choose labels would try. */
export const evilText =
  "x\r\nBcc: everybody@example.org\r\n\r\n<script>alert(1)</script>\u2028\u202e\u0000<!channel> \"';--";
