/** Approvals that could not be asked for in Slack: after a time, the run's escalation tells people how to decide them. */

export interface UnaskedParts<
  Approval extends { readonly runId: string; readonly step: string; readonly playbookHash: string },
> {
  readonly store: {
    find(afterMs: number): Promise<readonly Approval[]>;
    escalate(approval: Approval, policy: string | null, reason: string): Promise<boolean>;
  };
  readonly afterMs: number;
  /** The escalation policy of a playbook; null: it names none; undefined: this process cannot read it, another one may. */
  readonly policyOf: (playbookHash: string) => Promise<string | null | undefined>;
  readonly hasSlack: boolean;
  readonly tellPeople: () => void;
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}

/** Looks once. Rejects only where the store cannot be used. */
export async function escalateUnasked<
  Approval extends { readonly runId: string; readonly step: string; readonly playbookHash: string },
>(parts: UnaskedParts<Approval>): Promise<void> {
  const { store, log } = parts;
  for (const approval of await store.find(parts.afterMs)) {
    const policy = await parts.policyOf(approval.playbookHash);
    if (policy === undefined) continue;
    const why = parts.hasSlack ? "it could not be asked for in Slack" : "no Slack is configured to ask in";
    const done = await store.escalate(approval, policy, `step '${approval.step}' waits for approval, and ${why}`);
    if (!done) continue;
    parts.tellPeople();
    const fields = { run: approval.runId, step: approval.step, policy };
    if (policy !== null) log.warn(fields, "an approval could not be asked for in Slack; the escalation tells people");
    else
      log.error(fields, "an approval could not be asked for, and its playbook names no escalation: nobody knows of it");
  }
}
