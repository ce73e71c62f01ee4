/** Names the one next thing to do for a run. Pure: the same history, moment and switches give the same decision. */

import { formatDuration } from "./duration.ts";
import type { AskReason, Outcome } from "./event.ts";
import { whyClosed } from "./maintenance-window.ts";
import type { ChangeStep, Check, ObserveStep, Step } from "./playbook.ts";
import { type Progress, progressOf } from "./progress.ts";
import type { Run, WaitingFor } from "./run.ts";
import { type ApprovalProgress, isSettled, type StepProgress, untouched } from "./step-progress.ts";
import { nextCheck } from "./verify.ts";

export type Decision =
  /** Evaluate the step's condition if it is the first time, then look. */
  | { readonly do: "observe"; readonly step: ObserveStep }
  /** Go on without an observation that cannot be made. */
  | { readonly do: "pass-over"; readonly step: ObserveStep; readonly reason: string }
  /** Evaluate the step's condition if it is the first time, then find out what would change. */
  | { readonly do: "plan"; readonly step: ChangeStep }
  /** Count what the budget and the cool-down of this playbook and target have seen. */
  | { readonly do: "check-rails"; readonly step: ChangeStep }
  | { readonly do: "ask"; readonly step: ChangeStep; readonly reasons: readonly AskReason[] }
  | { readonly do: "expire"; readonly step: ChangeStep; readonly approval: string }
  | { readonly do: "void"; readonly step: ChangeStep; readonly approval: string; readonly reason: string }
  /** Look up again whether those who approved the step may still do so. */
  | {
      readonly do: "check-approvers";
      readonly step: ChangeStep;
      readonly approval: string;
      readonly by: readonly string[];
    }
  /** Say what is about to be changed, before the first change of the run. */
  | {
      readonly do: "announce";
      readonly step: ChangeStep;
      readonly places: readonly string[];
      readonly notBefore: number;
    }
  /** Decide an entry of the playbook's `notify`, from 0. */
  | { readonly do: "notify"; readonly entry: number }
  | { readonly do: "apply"; readonly step: ChangeStep }
  /** Note that what the step changed is to be put back. */
  | { readonly do: "begin-mitigation"; readonly step: ChangeStep }
  /** The next thing must be done on the target's host: leave the run to a worker there. */
  | { readonly do: "move"; readonly host: string }
  | { readonly do: "probe"; readonly step: ChangeStep }
  | { readonly do: "verify"; readonly check: Check; readonly index: number }
  /** Nothing can be done before `until` (milliseconds since 1970) unless something is told before. */
  | { readonly do: "wait"; readonly for: Exclude<WaitingFor, "worker">; readonly until: number }
  | { readonly do: "end"; readonly outcome: Outcome; readonly reason: string }
  /** It has ended. */
  | { readonly do: "nothing" };

/** How often a step is tried when it fails in a way that may pass, and how long each try waits for the next. */
export const retryDelaysMs: readonly number[] = [2_000, 10_000];
/** After this many take-overs during one step, its workers are the problem and people must look. */
export const mostTakeovers = 2;
/** How often a `safe` step whose effect is in doubt is applied again. */
const mostDoubts = 3;
/** How often a run that waits for its target or for the kill switch looks by itself, should nobody wake it. */
const lookAgainMs = 15_000;
/** For how long counted rails hold: while a run waits for the kill switch, other runs may change its target. */
const railsHoldMs = 5_000;
/** For how long it holds that those who approved may still do so. */
const approversHoldMs = 5_000;
/** What was planned longer ago is planned again before it is applied. */
const plansHoldMs = 60_000;
/** How long a change waits for its announcement to be delivered. The doctor does not depend on Slack. */
const announcementWaitMs = 10_000;

const end = (outcome: Outcome, reason: string): Decision => ({ do: "end", outcome, reason });

/** Decides what to do next for `run` at `now`, in milliseconds since 1970 by the database's clock. */
export function decide(run: Run, now: number): Decision {
  const progress = progressOf(run.history);
  if (progress.ended) return { do: "nothing" };
  const next = nextOf(run, progress, now);
  if (next.do !== "end") return next;
  // Reverting does no harm where nothing was changed, so what is in doubt is put back too.
  const left = run.playbook.steps.find((step) => mustBeginMitigation(progress, step, mayHaveChanged));
  return left?.kind === "change" ? { do: "begin-mitigation", step: left } : next;
}

function nextOf(run: Run, progress: Progress, now: number): Decision {
  const current = run.playbook.steps.find((step) => !settled(run, progress, step));
  if (progress.takeovers > mostTakeovers) return keepsStopping(progress, current);
  const mitigating = run.playbook.steps.find((step) => mustBeginMitigation(progress, step, hasChanged));
  if (mitigating?.kind === "change") return { do: "begin-mitigation", step: mitigating };
  const doubtful = current?.kind === "change" && of(progress, current).state === "in-doubt" ? current : null;
  if (doubtful) return resolveDoubt(run, progress, doubtful, now);
  if (current?.kind === "change" && of(progress, current).state === "started") {
    // Only this worker can have started it, and it has not come back: the loop never decides here.
    return end("unknown", `step '${current.id}' was started and its end was never recorded`);
  }

  const changed = changes(run, progress);
  const stop = whyStop(run, progress, changed);
  if (stop) {
    const asking = current ? openApproval(progress, current) : null;
    if (asking && current?.kind === "change") {
      return { do: "void", step: current, approval: asking, reason: stop.reason };
    }
    if (stop.outcome !== "verify") return end(stop.outcome, stop.reason);
    return verification(run, progress, changed, now);
  }
  const entry = nextNotify(run, progress);
  if (entry !== null) return { do: "notify", entry };
  if (current) return advance(run, progress, current, now);
  return verification(run, progress, changed, now);
}

/** Whether the step has changed something that is to be put back, by what `changed` says, and nothing says so yet. */
function mustBeginMitigation(progress: Progress, step: Step, changed: (at: StepProgress) => boolean): boolean {
  if (step.kind !== "change" || step.revert === null) return false;
  const at = of(progress, step);
  return changed(at) && at.started !== null && !at.mitigated;
}

/** The first entry of `notify` that is not decided and whose condition can be evaluated; people are told while the switch is on, too. */
function nextNotify(run: Run, progress: Progress): number | null {
  if (run.dryRun) return null;
  const isOver = (id: string) => isSettled(progress.steps.get(id) ?? untouched);
  const entry = run.playbook.notify.findIndex((one, index) => !progress.notified.has(index) && one.needs.every(isOver));
  return entry === -1 ? null : entry;
}

/** In a dry run a plan is all there is to do; otherwise see `isSettled`. */
function settled(run: Run, progress: Progress, step: Step): boolean {
  const at = of(progress, step);
  return isSettled(at) || (run.dryRun && at.state === "planned");
}

function of(progress: Progress, step: Step): StepProgress {
  return progress.steps.get(step.id) ?? untouched;
}

/** How many steps changed something. What was said to people is no change. */
function changes(run: Run, progress: Progress): number {
  const { steps } = run.playbook;
  return steps.filter((step) => step.kind === "change" && !step.tells && hasChanged(of(progress, step))).length;
}

/** A step whose effect was in doubt and of which nothing is left to do has changed something. */
function hasChanged(step: StepProgress): boolean {
  return step.state === "done" || (step.state === "nothing-to-do" && step.doubts > 0);
}

function mayHaveChanged(step: StepProgress): boolean {
  const inDoubt = step.state === "started" || (step.state === "in-doubt" && step.probe !== "not-applied");
  return inDoubt || hasChanged(step);
}

function openApproval(progress: Progress, step: Step): string | null {
  const approval = of(progress, step).approval;
  return approval && approval.state === "pending" ? approval.id : null;
}

function whyStop(
  run: Run,
  progress: Progress,
  changed: number,
): { readonly outcome: "cancelled" | "resolved" | "verify"; readonly reason: string } | null {
  if (progress.cancel) {
    return { outcome: "cancelled", reason: `cancelled by ${progress.cancel.by}: ${progress.cancel.reason}` };
  }
  if (!isResolved(run, progress)) return null;
  if (changed > 0) return { outcome: "verify", reason: "the alert resolved; no further step is needed" };
  // Who was called is let go by a measurement only: an alert also resolves when Prometheus sees nothing any more.
  const measures = progress.paged && run.playbook.verify.length > 0;
  return { outcome: measures ? "verify" : "resolved", reason: resolvedUnchanged };
}

const resolvedUnchanged = "the alert resolved before anything was changed";

/** Whether the alert resolved and nothing more is to be done for it. */
function isResolved(run: Run, progress: Progress): boolean {
  return progress.resolvedAt !== null && run.playbook.onResolved !== "finish";
}

/** The effect of `step` may have happened. Finding out comes before everything else, even before a cancel. */
function resolveDoubt(run: Run, progress: Progress, step: ChangeStep, now: number): Decision {
  const at = of(progress, step);
  if (step.repeat === "once" && at.probe === null) {
    const again = retry(at, now);
    if (again === "give-up") return end("unknown", unknownReason(step, at));
    return again ?? held(run, progress, step, now) ?? { do: "probe", step };
  }
  if (step.repeat === "once" && at.probe !== "not-applied") {
    return end("unknown", unknownReason(step, at));
  }
  if (at.doubts >= mostDoubts) return end("unknown", unknownReason(step, at));
  const changed = changes(run, progress);
  const stop = whyStop(run, progress, changed);
  if (stop && step.repeat === "once") {
    return stop.outcome === "verify" ? verification(run, progress, changed, now) : end(stop.outcome, stop.reason);
  }
  if (stop) {
    return end("unknown", `${stop.reason}; the effect of step '${step.id}' was in doubt and was not looked into again`);
  }
  const again = retry(at, now);
  if (again === "give-up") return end("unknown", unknownReason(step, at));
  return again ?? held(run, progress, step, now) ?? { do: "plan", step };
}

/** The run itself seems to stop its workers: people must look before it stops another one. */
function keepsStopping(progress: Progress, current: Step | undefined): Decision {
  const inDoubt = current !== undefined && of(progress, current).state === "in-doubt";
  const what = current ? `step '${current.id}' (${current.do})` : "verification";
  return end(
    inDoubt || !current ? "unknown" : "failed",
    `${progress.takeovers} workers stopped during ${what}, one after the other; ${keptStopping(inDoubt, current)}`,
  );
}

function keptStopping(inDoubt: boolean, current: Step | undefined): string {
  if (inDoubt) return "whether it took effect is not known";
  return current ? "nothing of it was applied" : "whether the changes helped is not known";
}

function unknownReason(step: ChangeStep, at: StepProgress): string {
  return `it cannot be told whether step '${step.id}' (${step.do}) took effect: ${at.reason ?? "no reason recorded"}`;
}

function advance(run: Run, progress: Progress, step: Step, now: number): Decision {
  const at = of(progress, step);
  if (at.approval?.state === "declined") {
    return end("declined", `declined by ${at.approval.by.at(-1) ?? "?"}: ${at.approval.reason ?? "no reason given"}`);
  }
  if (at.approval?.state === "expired") {
    return end("expired", `nobody approved step '${step.id}' in time; nothing of it was done`);
  }
  if (step.kind === "change" && at.state === "waiting-for-approval" && at.approval) {
    const expiresAt = Date.parse(at.approval.expiresAt);
    if (now >= expiresAt) return { do: "expire", step, approval: at.approval.id };
    return { do: "wait", for: "approval", until: expiresAt };
  }
  if (at.state === "failed" && retry(at, now) === "give-up") {
    const reason = at.failure?.reason ?? "failed";
    if (step.kind === "observe" && step.optional) return { do: "pass-over", step, reason };
    return end("failed", `step '${step.id}' (${step.do}): ${reason}`);
  }
  const blocked = held(run, progress, step, now);
  if (blocked) return blocked;
  if (step.kind === "observe") return retryOr(at, now, { do: "observe", step });
  return change(run, progress, step, at, now);
}

function change(run: Run, progress: Progress, step: ChangeStep, at: StepProgress, now: number): Decision {
  if (at.state === "failed") return retryOr(at, now, { do: "plan", step });
  if (at.state === "pending") return { do: "plan", step };
  const closed =
    step.tells || run.playbook.during !== "maintenance" ? null : whyClosed(run.maintenance ?? [], now, step.timeoutMs);
  if (closed !== null) {
    return end("refused", `step '${step.id}' was not done: ${closed}`);
  }
  if (at.state === "approved" && at.approval && now > goodUntil(run, at.approval)) {
    return {
      do: "void",
      step,
      approval: at.approval.id,
      reason: `it was approved at ${at.approval.decidedAt}, and could not be applied in the time that there was to decide it`,
    };
  }
  if (at.state === "approved" && !at.plannedSinceApproval) return { do: "plan", step };
  if (now - Date.parse(at.plannedAt ?? "") > plansHoldMs) return { do: "plan", step };
  if (at.state === "approved" && at.approval && at.approval.digest !== at.digest) {
    return {
      do: "void",
      step,
      approval: at.approval.id,
      reason: "what would change is no longer what was approved",
    };
  }
  if (at.state === "approved") return announced(run, progress, step, now) ?? approved(step, at, now);

  const { cooldownMs, budget } = run.playbook;
  if (!step.tells && (cooldownMs !== null || budget.length > 0) && !counted(at, now))
    return { do: "check-rails", step };
  if (at.rails?.coolDownUntil && now < Date.parse(at.rails.coolDownUntil)) {
    return end(
      "refused",
      `this playbook changed this target within its cool-down of ${formatDuration(cooldownMs ?? 0)}, which lasts until ${at.rails.coolDownUntil}; the trouble came back, so people should look`,
    );
  }
  const reasons = whyAsk(step, at);
  if (reasons.length > 0) return { do: "ask", step, reasons };
  return announced(run, progress, step, now) ?? { do: "apply", step };
}

/** An approval is good for as long as there was to decide it, and for the lead time of an announcement. */
function goodUntil(run: Run, { requestedAt, expiresAt, decidedAt }: ApprovalProgress): number {
  const open = Date.parse(expiresAt) - Date.parse(requestedAt);
  const lead = run.playbook.announce === "before" ? (run.announcements?.leadMs ?? 0) : 0;
  return Date.parse(decidedAt ?? requestedAt) + open + lead;
}

/** Applies what was approved, once it is known that those who did may still do so. */
function approved(step: ChangeStep, at: StepProgress, now: number): Decision {
  const { approval, approvers } = at;
  if (!approval) return { do: "apply", step };
  if (approvers && !approvers.allowed) {
    return {
      do: "void",
      step,
      approval: approval.id,
      reason: approvers.reason ?? "an approver may not approve any more",
    };
  }
  if (approvers && now - Date.parse(approvers.at) < approversHoldMs) return { do: "apply", step };
  return { do: "check-approvers", step, approval: approval.id, by: approval.by };
}

/** What is still to be done or waited for before the first change of the run; null: nothing. */
function announced(run: Run, progress: Progress, step: ChangeStep, now: number): Decision | null {
  const { announcements, playbook } = run;
  const { announcement } = progress;
  if (!announcement) {
    if (!announcements || step.tells || playbook.announce === "never" || changes(run, progress) > 0) return null;
    const notBefore = playbook.announce === "before" ? now + announcements.leadMs : now;
    return { do: "announce", step, places: announcements.places, notBefore };
  }
  const notBefore = Date.parse(announcement.notBefore);
  if (now < notBefore) return { do: "wait", for: "lead-time", until: notBefore };
  const at = of(progress, step);
  // What was planned before a lead time may be no longer so.
  if (Date.parse(at.plannedAt ?? "") < notBefore && notBefore > Date.parse(announcement.at))
    return { do: "plan", step };
  const givenUp = Date.parse(announcement.at) + announcementWaitMs;
  return announcement.open.size > 0 && now < givenUp ? { do: "wait", for: "announcement", until: givenUp } : null;
}

function counted(at: StepProgress, now: number): boolean {
  return at.rails !== null && now - Date.parse(at.rails.at) < railsHoldMs;
}

/** Why the step needs people. Empty: it may go on by itself. */
function whyAsk(step: ChangeStep, at: StepProgress): readonly AskReason[] {
  const reasons: AskReason[] = [];
  if (step.approval === "always") reasons.push("playbook-asks");
  if (step.approval !== "never" && step.risk === "high") reasons.push("risk-high");
  if (step.risk === "irreversible") reasons.push("risk-irreversible");
  if (at.rails?.budget.some((window) => window.used >= window.limit)) reasons.push("budget-spent");
  return reasons;
}

/** Nothing executes while the kill switch is on, while another run holds the target, or on the wrong host. */
function held(run: Run, progress: Progress, what: { readonly onHost: boolean }, now: number): Decision | null {
  if (run.paused) return { do: "wait", for: "switch", until: now + lookAgainMs };
  if (!run.dryRun && !run.holdsTarget) return { do: "wait", for: "target", until: now + lookAgainMs };
  if (what.onHost && run.targetHost !== null && run.targetHost !== run.workerHost) {
    return elsewhere(run, progress, run.targetHost, now);
  }
  return null;
}

/** Leaves the run to a worker of the host, for as long as one is waited for. */
function elsewhere(run: Run, progress: Progress, host: string, now: number): Decision {
  if (!progress.moved || now - Date.parse(progress.moved.at) < run.hostWaitMs) return { do: "move", host };
  const inDoubt = [...progress.steps.values()].some(({ state }) => state === "in-doubt");
  const reason = `no worker of the host ${host} took the run within ${formatDuration(run.hostWaitMs)}; start one there with \`paramedic serve --role worker --host ${host}\``;
  if (inDoubt) return end("unknown", `${reason}; whether its last step took effect is not known`);
  return end(changes(run, progress) > 0 ? "unknown" : "failed", reason);
}

function retry(at: StepProgress, now: number): Decision | "give-up" | null {
  if (!at.failure) return null;
  const delay = retryDelaysMs[at.failures - 1];
  if (!at.failure.retryable || delay === undefined) return "give-up";
  const until = Date.parse(at.failure.at) + delay;
  return now < until ? { do: "wait", for: "retry", until } : null;
}

function retryOr(at: StepProgress, now: number, next: Decision): Decision {
  const again = retry(at, now);
  if (again === "give-up") return end("failed", at.failure?.reason ?? "failed");
  return again ?? next;
}

function verification(run: Run, progress: Progress, changed: number, now: number): Decision {
  if (run.dryRun) return end("nothing-to-do", dryRunReason(progress));
  const { verify } = run.playbook;
  if (verify.length === 0) {
    return changed > 0
      ? end("unknown", "the changes were applied, but the playbook has no `verify` to measure whether they helped")
      : end("nothing-to-do", "nothing had to be changed");
  }
  const resolved = changed === 0 && isResolved(run, progress);
  const begin = Math.max(Date.parse(progress.settledAt), resolved ? Date.parse(progress.resolvedAt ?? "") : 0);
  const next = nextCheck(verify, progress.checks, begin, now);
  if (next.kind === "measure") {
    const { check, index } = next;
    return held(run, progress, check, now) ?? { do: "verify", check, index };
  }
  if (next.kind === "wait") return { do: "wait", for: "verification", until: next.until };
  if (next.kind === "does-not-hold") {
    return end("ineffective", ineffectiveReason(changed, resolved, next.check, next.reason));
  }
  if (changed > 0) return end("fixed", "verified: every check of the playbook holds");
  return resolved
    ? end("resolved", `${resolvedUnchanged}, and every check of the playbook holds`)
    : end("nothing-to-do", "nothing had to be changed, and every check of the playbook holds");
}

function ineffectiveReason(changed: number, resolved: boolean, check: Check, reason: string | null): string {
  const what = changed > 0 ? "the changes did not help" : whyUnchanged(resolved);
  return `${what}: '${check.expect}' did not hold within ${formatDuration(check.withinMs)}${reason ? ` (${reason})` : ""}`;
}

function whyUnchanged(resolved: boolean): string {
  return resolved
    ? `${resolvedUnchanged}, but what is measured does not agree`
    : "nothing could be changed and the trouble is still there";
}

function dryRunReason(progress: Progress): string {
  let effects = 0;
  for (const step of progress.steps.values()) if (step.state === "planned") effects += step.effects.length;
  return `dry run: ${effects} ${effects === 1 ? "effect" : "effects"} planned, none applied`;
}
