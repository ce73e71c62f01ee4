/** Paramedic asks in Slack, and somebody answers there: by a key in place of the button, or the demo by itself where nobody is at the keyboard. */

import { pause } from "../demo/paramedic.mjs";
import { paint, width, wrap } from "../demo/screen.mjs";
import { linesOf, readable } from "./slack-text.mjs";

/** Who is in this Slack, in the order in which they are asked. Their roles are those of the stack's configuration. */
const people = { U0LEAD: "Lea", U0DEPUTY: "Dan" };

/** Gives people their names in Slack. */
export function nameEverybody(slack) {
  for (const [id, name] of Object.entries(people)) slack.addUser(id, { name });
}

/** Whom an id of an event means. */
export function named(text) {
  return text.replaceAll(/slack:(U0\w+)/g, (all, id) => (people[id] ? `${people[id]} (${all})` : all));
}

/**
 * Shows the question that `asking` resolves with, and has it answered by those who are waited for. `key` resolves with the next key that was pressed; null:
 * nobody can press one. `isOver` says whether the run waits for an answer no more.
 */
export async function answer({ slack, asking, waiting, key, isOver }) {
  const message = await asking;
  showMessage(message);
  for (const user of waiting) {
    const said = slack.ephemerals.length;
    const decision = key === null ? await byItself(user) : await pressed(user, key, isOver);
    if (decision === null) return;
    await click(slack, message, user, decision);
    // What does not count is said to whoever clicked, and to nobody else.
    await pause(500);
    for (const { text } of slack.ephemerals.slice(said)) {
      for (const line of wrap(`Only ${people[user]} sees: ${readable(text, people)}`, width() - 2))
        console.log(`  ${line}`);
    }
    if (decision === "decline") return;
  }
}

function showMessage(message) {
  const room = width() - 6;
  console.log(`\n  ${paint("cyan", "┌ Slack, #ops, Paramedic")}`);
  for (const { text, style } of linesOf(message, people)) {
    for (const line of wrap(text, room, text.startsWith("• ") ? "  " : "")) {
      console.log(`  ${paint("cyan", "│")} ${style ? paint(style, line) : line}`);
    }
  }
  console.log(`  ${paint("cyan", "└")}\n`);
}

async function byItself(user) {
  const why = process.env["DEMO_EXIT"] === "1" ? "DEMO_EXIT=1" : "there is no terminal to press a key at";
  console.log(
    paint("bold", `  Nobody is asked here (${why}): the demo approves, in Slack, as ${people[user]} (${user}).`),
  );
  return "approve";
}

async function pressed(user, key, isOver) {
  const question = `You are ${people[user]} (${user}), who may decide. Press a to approve, d to decline: `;
  console.log(paint("bold", `  ${question}`));
  for (;;) {
    const one = await Promise.race([key(), over(isOver)]);
    if (one === null) return null;
    if (one === "a" || one === "d") return one === "a" ? "approve" : "decline";
  }
}

async function over(isOver) {
  while (!isOver()) await pause(200);
  return null;
}

/** As Slack does it: a request that is signed with the app's secret, in the name of whoever clicks. */
async function click(slack, message, user, decision) {
  const views = slack.views.length;
  const { status } = await slack.click({ message, actionId: `paramedic-${decision}`, user });
  console.log(
    paint(
      "dim",
      `  ${people[user]} clicks ${decision === "approve" ? "Approve" : "Decline"}; Slack signs that and posts it: ${status}`,
    ),
  );
  if (decision === "approve") return;
  for (const until = Date.now() + 10_000; slack.views.length === views && Date.now() < until; ) await pause(50);
  const window = slack.views[views];
  if (!window) return;
  await slack.submit(window, { reason: "declined in the demo" });
  console.log(paint("dim", `  Paramedic asks why; ${people[user]} writes “declined in the demo”`));
}
