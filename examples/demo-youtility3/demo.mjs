/**
 * The story of `make demo-youtility3`, in a process of its own: the whole stack is started, one thing in it is broken,
 * and what Paramedic does about it is told as it happens. Needs dist/ and build/. With `--ask`, keys come from start.mjs;
 * otherwise every question is approved. Ends when it is told to; exit code 0 only if the outcome is `fixed`.
 */

import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { heading, paint } from "../demo/screen.mjs";
import { createStage } from "./stage.mjs";
import { heal, introduce, suggest } from "./story.mjs";

const [, , name, ...flags] = process.argv;
/** Longer ones make paths of sockets that the kernel does not take. */
const longestTmpdir = 40;
const folder = join(tmpdir().length > longestTmpdir ? "/tmp" : tmpdir(), `paramedic-demo-${randomUUID().slice(0, 8)}`);
mkdirSync(folder, { mode: 0o711 });
// Everything that the stack puts on disk goes here, and is named short: people read these paths.
process.env["TMPDIR"] = folder;
process.env["PARAMEDIC_TEST_RUN_FOLDER"] = folder;

const interrupted = new Promise((resolve) => {
  const stop = () => resolve("interrupted");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
  process.on("disconnect", stop);
  process.on("message", (message) => message === "stop" && stop());
  // A bug, too, leaves nothing behind.
  for (const event of ["unhandledRejection", "uncaughtException"]) {
    process.on(event, (error) => {
      console.error(paint("red", `\nThe demo failed: ${error?.stack ?? error}`));
      stop();
    });
  }
  // Whoever looked on has gone.
  process.stdout.on("error", stop);
  process.stderr.on("error", stop);
});
const key = flags.includes("--ask") ? nextKey : null;
let stage = null;

async function main() {
  stage = await createStage(name);
  const told = (async () => {
    console.log("  The stack is being started, which takes ten seconds or so …");
    const stack = await stage.start();
    introduce(stack, name);
    const run = await heal(stack, stage, name, key);
    return { stack, ...run };
  })();
  const result = await Promise.race([told, interrupted]);
  if (result === "interrupted") {
    told.catch(() => {});
    return 1;
  }
  if (process.env["DEMO_EXIT"] !== "1") {
    suggest(result.stack, stage.token, result.run);
    await interrupted;
  }
  return result.outcome === "fixed" ? 0 : 1;
}

/** The next key that is pressed from now on. */
function nextKey() {
  return new Promise((resolve) => process.once("message", resolve));
}

let code = 1;
try {
  heading(`YOUTILITY3 in trouble: ${name}`);
  code = await main();
} catch (error) {
  console.error(paint("red", `\nThe demo failed: ${error.message}`));
}
if (process.env["DEMO_EXIT"] !== "1") console.log("\nStopping everything that was started …");
// What the story, or a client whose server is gone, still says is of no interest.
console.log = console.error = () => {};
await stage
  ?.stop()
  .catch((error) => void process.stderr.write(`Not everything could be stopped: ${error.stack ?? error}\n`));
rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
process.exit(code);
