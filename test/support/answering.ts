/** People in Slack who answer what a run asks, each by a button, and see that their answer counted. */

import { buttonsOf, textsOf } from "../oncall/slack/told.ts";
import { type Callers, shownBy } from "./callers.ts";
import type { Service } from "./service.ts";
import type { SlackMessage } from "./slack-double-workspace.ts";
import { until } from "./until.ts";

export interface Answering {
  /** Waits until a run, any one where left out, asks in Slack, and returns which run and what people read there. */
  asked(run?: string): Promise<{ readonly run: string; readonly text: string }>;
  /** Presses *Approve* as each of these people in turn. */
  approve(run: string, people: readonly string[]): Promise<SlackMessage>;
  /** Presses *Decline* and says why. */
  decline(run: string, user: string): Promise<void>;
}

interface Question {
  readonly run: string;
  readonly approval: string;
  readonly message: SlackMessage;
}

/** As busy as a machine of tests can be. */
const patience = { timeoutMs: 60_000, everyMs: 50 };

export function answering(service: Service, callers: Callers): Answering {
  const { slack } = callers;

  /** The question that waits now: an earlier one of the same run may still be what the message shows. */
  function question(run?: string): Promise<Question> {
    return until(
      async () => {
        const { body } = await service.api("GET", "/api/v1/approvals?state=pending");
        for (const { id, runId } of body.approvals as readonly { readonly id: string; readonly runId: string }[]) {
          if (run !== undefined && runId !== run) continue;
          const message = slack.messages().find((one) => buttonsOf(one).some(([, value]) => value.includes(id)));
          if (message) return { run: runId, approval: id, message };
        }
        return null;
      },
      { ...patience, what: () => `a question about ${run ?? "any run"} (${service.child.output().slice(-3_000)})` },
    );
  }

  /** What somebody presses counts a moment later, or they are told why it does not. */
  async function counted({ run, approval }: Question, user: string): Promise<void> {
    await until(
      async () => {
        const asked = (await service.run(run)).approvals.find(({ id }) => id === approval);
        return asked?.decisions.some(({ by }) => by === `slack:${user}`);
      },
      { ...patience, what: () => `the answer of ${user} to count; they were told: ${toldTo(user)}` },
    );
  }

  function toldTo(user: string): string {
    const told = slack.ephemerals.filter((one) => one.user === user);
    return told.map(({ text, blocks }) => [text, ...textsOf(blocks)].join(" ")).join(" / ") || "nothing";
  }

  return {
    asked: async (run) => {
      const found = await question(run);
      return { run: found.run, text: shownBy(found.message) };
    },
    approve: async (run, people) => {
      let last: SlackMessage | undefined;
      for (const user of people) {
        const found = await question(run);
        await slack.click({ message: found.message, actionId: "paramedic-approve", user });
        await counted(found, user);
        last = found.message;
      }
      if (!last) throw new Error("Name somebody who approves.");
      return last;
    },
    decline: async (run, user) => {
      const found = await question(run);
      await slack.click({ message: found.message, actionId: "paramedic-decline", user });
      const view = await until(() => slack.views.find((one) => one.state === "open" && one.user === user), {
        ...patience,
        what: () => `a window that asks for a reason; ${user} was told: ${toldTo(user)}`,
      });
      await slack.submit(view, { reason: "not now" });
      await counted(found, user);
    },
  };
}
