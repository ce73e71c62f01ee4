/** A change of a system that nothing else changes, made ready for one use of one action, and how much of it has happened. */

import { createActions } from "../../../src/actions/registry.ts";
import type { ChangeAction } from "../../../src/domain/action.ts";

export interface Operation {
  /** The parts of its target, as the configuration has them, and the variables that these name. */
  readonly target: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly with: object;
  /** How many effects there are when it is done. */
  readonly whole: number;
  /** How many there are when it was done a second time; as many as after the first where left out. */
  readonly twice?: number;
  readonly effects: () => Promise<number>;
  /** What it does is done in the write that records it: there is nothing of it before. */
  readonly byRecord?: true;
  /** What happens in the world while no worker is there. */
  readonly meanwhile?: () => Promise<void>;
}

/** Makes one ready; `name` is a word of its own, in small letters, digits and underscores. */
export type Make = (name: string) => Promise<Operation>;

/** Every change of the registry. */
export const changes: readonly ChangeAction[] = [...createActions({ prometheusUrl: null }).values()]
  .filter((action): action is ChangeAction => action.kind === "change")
  .sort((a, b) => (a.name < b.name ? -1 : 1));
