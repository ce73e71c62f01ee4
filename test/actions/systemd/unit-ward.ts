/** A systemd with units in every condition, and the target that lists them, for tests of the actions. */

import type { SystemdTarget, Target } from "../../../src/domain/target.ts";
import { startSystemd, type TestSystemd } from "../../support/systemd.ts";
import { type Ailments, installAilments } from "../../support/systemd-units.ts";
import { bareTarget } from "../context.ts";

export interface UnitWard extends Ailments {
  readonly systemd: TestSystemd;
  readonly settings: { readonly systemBusAddress: string };
  /** All units but `bystander.service`; a restart is watched for 300 ms. */
  readonly target: Target;
  /** The target with another `systemd:`. */
  targetWith(change: Partial<SystemdTarget>): Target;
  /** How often a unit was started, by systemd's own journal. */
  starts(unit: string): Promise<number>;
}

/** The settings of a bus at a port of 127.0.0.1. */
export function busAt(port: number): { readonly systemBusAddress: string } {
  return { systemBusAddress: `tcp:host=127.0.0.1,port=${port}` };
}

export async function createUnitWard(): Promise<UnitWard> {
  const systemd = await startSystemd();
  const ailments = await installAilments(systemd);
  const names = ["app", "crasher", "looping", "conditional", "slow-stop", "no-binary", "limited", "oneshot"];
  const configured: SystemdTarget = {
    units: names.map((name) => `${name}.service`),
    environment: { "app.service": ["CACHE_TIMEOUT", "MODE", "GREETING"] },
    settleMs: 300,
    journal: systemd.journal,
  };
  const targetWith = (change: Partial<SystemdTarget>): Target => ({
    ...bareTarget,
    systemd: { ...configured, ...change },
  });
  return {
    ...ailments,
    systemd,
    settings: { systemBusAddress: systemd.busAddress },
    target: targetWith({}),
    targetWith,
    starts: async (unit) => {
      const started = "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf";
      const { stdout } = await systemd.inside(
        "journalctl",
        "--quiet",
        "--output=cat",
        "_PID=1",
        `UNIT=${unit}`,
        started,
      );
      return stdout.split("\n").filter((line) => line !== "").length;
    },
  };
}
