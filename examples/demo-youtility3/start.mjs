/**
 * `make demo-youtility3` in the foreground: checks what is asked for, and hands keys and interrupts on to the story,
 * which has a session of its own so that Ctrl-C reaches it alone and it ends everything in order.
 */

import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { heading, list, paint } from "../demo/screen.mjs";
import { stories, usual } from "./stories.mjs";

const given = process.env["BREAK"] ?? "";
const name = given === "" ? usual : given;

if (!Object.hasOwn(stories, name)) {
  console.error(paint("red", `There is no trouble '${given}'.`));
  choices();
  process.exit(2);
}
if (process.getuid?.() !== 0) {
  console.error(paint("red", "This demo needs root."));
  console.error(
    `The application is a unit of a real systemd, which gets namespaces and a cgroup of its own, apart from this
machine's; only root may make those. For example: sudo env "PATH=$PATH" make demo-youtility3 BREAK=${name}
\`make demo\` shows a smaller story and needs no root.`,
  );
  process.exit(1);
}
if (process.argv.includes("--check")) {
  if (given === "") choices(`BREAK is not set, so this shows ${usual}. `);
  process.exit(0);
}

const asks = process.env["DEMO_EXIT"] !== "1" && process.stdin.isTTY === true && process.stdout.isTTY === true;
const story = spawn(process.execPath, [join(import.meta.dirname, "demo.mjs"), name, ...(asks ? ["--ask"] : [])], {
  cwd: resolve(import.meta.dirname, "../.."),
  detached: true,
  stdio: ["ignore", "inherit", "inherit", "ipc"],
});
const send = (message) => {
  if (story.connected) story.send(message);
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => send("stop"));
if (asks) {
  // No signal comes of Ctrl-C any more, and a key counts without Enter.
  process.stdin.setRawMode(true);
  process.stdin.on("data", (keys) => {
    for (const key of keys.toString()) send(key === "\x03" ? "stop" : key);
  });
  process.stdin.on("error", () => send("stop"));
}
const code = await new Promise((done) => {
  story.once("error", () => done(1));
  story.once("exit", (ended) => done(ended ?? 1));
});
if (asks) process.stdin.setRawMode(false);
process.exit(code);

function choices(first = "") {
  heading("Choose a trouble", `${first}BREAK=NAME make demo-youtility3`);
  list(Object.entries(stories).map(([one, { trouble }]) => [one, trouble]));
}
