/** The events of a run as this demo tells them: as the other demo does, without what is shown elsewhere on the screen. */

import { narrate } from "../demo/narrate.mjs";
import { named } from "./question.mjs";

/** Tells one event after the other; null: nothing is said of it. */
export function createTeller() {
  const digests = new Map();
  return (event) => {
    const before = digests.get(event.step);
    if (event.type === "step-planned") digests.set(event.step, event.digest);
    const told = event.type === "step-planned" && before === event.digest ? again(event) : tell(event);
    return told === null ? null : { ...told, what: named(told.what) };
  };
}

function again({ step }) {
  return { who: step, what: "is planned once more, and is still exactly what was approved" };
}

function tell(event) {
  switch (event.type) {
    // Who was told, and by which way, stands together at the end.
    case "told":
      return null;
    case "announcing":
      return { who: event.step, what: `is announced first (${event.places.join(", ")})` };
    case "approval-requested": {
      const people = event.atLeast === 1 ? "somebody agrees" : `${event.atLeast} people agree`;
      return { who: event.step, what: `asks in Slack, and nothing is changed until ${people}`, style: "yellow" };
    }
    case "mitigation-began": {
      const { what } = narrate(event);
      return { who: event.step, what };
    }
    default:
      return narrate(event);
  }
}
