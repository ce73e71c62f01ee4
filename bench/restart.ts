/** How much longer `systemd.restart` takes, before its settle time, than `systemctl restart` of the same unit. */

import { systemdRestart } from "../src/actions/systemd/restart.ts";
import type { ActionContext } from "../src/domain/action.ts";
import type { Target } from "../src/domain/target.ts";
import { startSystemd, systemdService, type TestSystemd } from "../test/support/systemd.ts";
import type { Ground } from "./ground.ts";
import { compare, leftOut, type Row } from "./row.ts";
import { median, quantile } from "./statistics.ts";

const rounds = 20;
const mostExtraMs = 150;
const what = "restart a unit: plan, apply and look once, beside systemctl";
const unit = "bench.service";
/** With a start limit, so that looking at it is measured too; wide enough never to be reached. */
const unitFile = "[Unit]\nStartLimitIntervalSec=300\nStartLimitBurst=10000\n[Service]\nExecStart=/bin/sleep infinity\n";

export async function restart(_: Ground): Promise<readonly Row[]> {
  const limit = { what, unit: "ms", required: `<= +${mostExtraMs} ms` };
  if (systemdService.problem !== null) return [leftOut(limit, systemdService.problem)];
  const systemd = await startSystemd();
  try {
    await systemd.install({ [unit]: unitFile });
    await systemd.systemctl("start", unit);
    const ours: number[] = [];
    const baseline: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const raw = await timeOf(() => systemd.systemctl("restart", unit));
      const own = await timeOf(() => restartOnce(systemd));
      // The first round starts what the others find started.
      if (round > 0) baseline.push(raw);
      if (round > 0) ours.push(own);
    }
    const row = compare({
      what,
      unit: "ms",
      ours: median(ours),
      baseline: median(baseline),
      p50: median(ours),
      p99: quantile(ours, 0.99),
    });
    return [{ ...row, ...limit, ok: median(ours) - median(baseline) <= mostExtraMs }];
  } finally {
    await systemd.down();
  }
}

async function restartOnce(systemd: TestSystemd): Promise<void> {
  const action = systemdRestart({ systemBusAddress: systemd.busAddress });
  const target: Target = {
    name: "bench",
    host: null,
    labels: {},
    systemd: { units: [unit], settleMs: 0, journal: systemd.journal },
  };
  const log = { info: () => {}, warn: () => {} };
  const context: ActionContext = { target, signal: new AbortController().signal, log, now: Date.now };
  const planned = await action.plan({ unit }, context);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const outcome = await action.apply(planned.plan, context);
  if (outcome.status !== "done") throw new Error(JSON.stringify(outcome));
}

async function timeOf(act: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await act();
  return performance.now() - started;
}
