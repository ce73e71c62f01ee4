/** Turns the events of the demo's run into what a newcomer wants to read; others are told in Paramedic's own words. */

import { tell } from "../../dist/domain/story.js";
import { figures } from "./figures.mjs";

const seconds = (value) => `${Number(value).toFixed(1)} s`;
const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
const duration = (ms) => (ms % 3_600_000 === 0 ? `${ms / 3_600_000}h` : `${ms / 60_000}m`);

/** Who, what, further lines and a colour for an event. */
export function narrate(event) {
  switch (event.type) {
    case "created":
      return {
        who: event.trigger.kind,
        what: `${event.trigger.labels?.alertname ?? "a request"} starts the playbook ${event.playbook} on ${event.target}`,
      };
    case "step-observed":
      return { who: event.step, what: `sees ${activity(event.output)}` };
    case "step-planned":
      return {
        who: event.step,
        what: event.effects.length === 0 ? "finds nothing to do" : "plans this, and has changed nothing yet:",
        more: event.effects,
        style: "yellow",
      };
    case "rails-checked":
      return { who: "rails", what: rails(event) };
    case "step-started":
      return { who: event.step, what: "the intent is stored; now exactly this plan is applied" };
    case "step-finished":
      return { who: event.step, what: `done: ${result(event.result)}`, style: "yellow" };
    case "verification-checked":
      return {
        who: "verify",
        what: event.passed
          ? `holds: ${activity(event.output)}`
          : `does not hold yet: ${event.reason ?? activity(event.output)}`,
      };
    case "ended":
      return {
        who: "outcome",
        what: `${event.outcome} (${event.reason})`,
        style: event.outcome === "fixed" ? "green" : "red",
      };
    default: {
      const { text, details, tone } = tell(event);
      return { who: event.step ?? "run", what: text, more: details, style: tone === "bad" ? "red" : undefined };
    }
  }
}

function activity(output) {
  if (output?.longestSeconds === undefined) return figures(output);
  if (output.active === 0) return "no active query of the application";
  const active = count(output.active, "active query", "active queries");
  return `${active} of the application, the longest running for ${seconds(output.longestSeconds)}`;
}

function rails({ budget, coolDownUntil }) {
  const windows = budget.map(({ used, limit, windowMs }) => `${used} of ${limit} used in ${duration(windowMs)}`);
  return `budget ${windows.join(", ")}; ${coolDownUntil ? `cool-down until ${coolDownUntil}` : "no cool-down in force"}`;
}

function result(changed) {
  if (changed?.cancelled === undefined) return figures(changed);
  const { cancelled, gone = [] } = changed;
  const ended = gone.length > 0 ? `; ${count(gone.length, "query", "queries")} had ended by itself` : "";
  return `${count(cancelled.length, "query", "queries")} cancelled (pid ${cancelled.join(", ")})${ended}`;
}
