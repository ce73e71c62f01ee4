/** `systemd.journal`: the newest lines that a unit has logged, without what looks like a secret. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { redact } from "../redact.ts";
import { type JournalEntry, readJournal } from "./journalctl.ts";
import { unitInput } from "./unit-input.ts";
import { type SystemdSettings, type UnitInHand, withUnit } from "./with-unit.ts";

const longestLine = 2_000;
const mostCharacters = 64 * 1024;

const input = z.strictObject({
  /** One of the target's `systemd.units`. */
  unit: unitInput,
  /** At most so many, the newest. */
  lines: z.int().min(1).max(1_000).default(100),
  /** Only what was logged since the unit was last started, where systemd still knows when that was. */
  sinceStart: z.boolean().default(false),
});

const output = z.object({
  unit: z.string(),
  /** Oldest first. `priority` is that of syslog, from 0 (emergency) to 7 (debug); 3 and below are errors. */
  lines: z.array(z.object({ at: z.string(), priority: z.int(), pid: z.int(), message: z.string() })),
  /** How many of the lines are errors. */
  errors: z.int(),
  /** Whether lines were left out or shortened, because they are more than 64 Ki characters together or 2000 each. */
  cut: z.boolean(),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;
type Line = Output["lines"][number];

/** `systemd.journal`; the unit is looked up over the given system bus first. */
export function systemdJournal(settings: SystemdSettings): ObserveAction<Input, Output> {
  return {
    name: "systemd.journal",
    summary: "Reads the newest lines of a unit's journal, without what looks like a secret.",
    input,
    kind: "observe",
    onHost: true,
    output,
    observe: (input, context) => withUnit(context, settings, input.unit, (inHand) => read(input, inHand, context)),
  };
}

async function read(input: Input, { state, systemd }: UnitInHand, context: ActionContext): Promise<Observed<Output>> {
  const matches = [`--unit=${input.unit}`];
  if (input.sinceStart && state.startedAt > 0) matches.push(`--since=@${state.startedAt / 1_000}`);
  const page = await readJournal(matches, {
    entries: input.lines,
    folder: systemd.journal ?? null,
    signal: context.signal,
  });
  if (page.status === "failed") return page;
  const shown = fitting(page.entries);
  return {
    status: "observed",
    output: {
      unit: input.unit,
      lines: shown.lines,
      errors: shown.lines.filter(({ priority }) => priority <= 3).length,
      cut: page.cut || shown.cut,
    },
  };
}

/** The newest lines that fit, the oldest of them first. */
function fitting(newestFirst: readonly JournalEntry[]): { readonly lines: Line[]; readonly cut: boolean } {
  const lines: Line[] = [];
  let left = mostCharacters;
  let cut = false;
  for (const { at, priority, pid, message } of newestFirst) {
    // Twice the length, so that a secret which is cut off at the end is not shown.
    const line = printable(redact(message.slice(0, 2 * longestLine)));
    const short = line.length > longestLine ? `${line.slice(0, longestLine - 1)}…` : line;
    cut ||= short !== line || message.length > 2 * longestLine;
    left -= short.length;
    if (left < 0) return { lines: lines.reverse(), cut: true };
    lines.push({ at: new Date(at).toISOString(), priority, pid, message: short.toWellFormed() });
  }
  return { lines: lines.reverse(), cut };
}

/** Without colours and other control sequences, which a terminal or a page would obey. */
function printable(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
      .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "")
      .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
        character === "\n" || character === "\t" ? character : " ",
      )
  );
}
