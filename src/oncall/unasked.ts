/** Approvals that could not be asked for in Slack: after a time, the run's escalation tells people how to decide them. */

interface Asked {
  readonly id: string;
  readonly runId: string;
  readonly step: string;
  readonly playbookHash: string;
}

export interface UnaskedParts<Approval extends Asked> {
  readonly store: {
    /** A page of them; with `after`, the one that follows it. */
    find(afterMs: number, after: string | null): Promise<readonly Approval[]>;
    escalate(approval: Approval, policy: string | null, reason: string): Promise<boolean>;
  };
  readonly afterMs: number;
  /** The escalation policy of a playbook; null: it names none; undefined: this process cannot read it, another one may. */
  readonly policyOf: (playbookHash: string) => Promise<string | null | undefined>;
  readonly hasSlack: boolean;
  readonly tellPeople: () => void;
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}

/**
 * Looks once, through all of them: those whose playbook only another process can read keep nobody else waiting. Rejects
 * only where the store cannot be used.
 */
export async function escalateUnasked<Approval extends Asked>(parts: UnaskedParts<Approval>): Promise<void> {
  const policies = new Map<string, string | null | undefined>();
  for (let after: string | null = null; ; ) {
    const page: readonly Approval[] = await parts.store.find(parts.afterMs, after);
    for (const approval of page) {
      const { playbookHash } = approval;
      if (!policies.has(playbookHash)) policies.set(playbookHash, await parts.policyOf(playbookHash));
      const policy = policies.get(playbookHash);
      if (policy !== undefined) await escalate(parts, approval, policy);
    }
    after = page.at(-1)?.id ?? null;
    if (after === null) return;
  }
}

async function escalate<Approval extends Asked>(
  { store, log, hasSlack, tellPeople }: UnaskedParts<Approval>,
  approval: Approval,
  policy: string | null,
): Promise<void> {
  const why = hasSlack ? "it could not be asked for in Slack" : "no Slack is configured to ask in";
  const done = await store.escalate(approval, policy, `step '${approval.step}' waits for approval, and ${why}`);
  if (!done) return;
  tellPeople();
  const fields = { run: approval.runId, step: approval.step, policy };
  if (policy !== null) log.warn(fields, "an approval could not be asked for in Slack; the escalation tells people");
  else
    log.error(fields, "an approval could not be asked for, and its playbook names no escalation: nobody knows of it");
}
