/** The stack of the tests, started for the demo, and ended at any moment without leaving anything. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../demo/paramedic.mjs";

const compiled = "../../build/test/support";
const patienceMs = 20_000;

/** What the trouble of this name needs; fails where the stack cannot be started here, and says why. */
export async function createStage(name) {
  const { startStack, stackServices } = await import(`${compiled}/youtility3-stack.js`);
  const { troubles } = await import(`${compiled}/youtility3-troubles.js`);
  const { isAlive, livingChildren } = await import(`${compiled}/process.js`);
  const { runFolder } = await import(`${compiled}/run-folder.js`);
  const { tokens } = await import(`${compiled}/service.js`);
  const { askedIn } = await import(`${compiled}/callers.js`);
  const { default: killWhatIsLeft } = await import(`${compiled}/global-teardown.js`);
  if (stackServices.problem !== null) throw new Error(stackServices.problem);
  const trouble = troubles[name];
  let starting = null;

  /** SIGTERM to all: systemd then takes its cgroup down, and a start that is going on fails and tidies up. */
  const endChildren = () => Promise.all(livingChildren().map((child) => child.stop()));

  async function stop() {
    const begun = starting?.then(
      (stack) => ({ stack }),
      () => ({ stack: null }),
    );
    try {
      let ended = null;
      for (const until = Date.now() + patienceMs; begun && ended === null && Date.now() < until; ) {
        ended = await Promise.race([begun, pause(100)]).then((value) => value ?? null);
        if (ended === null) await endChildren();
      }
      await ended?.stack?.stop();
    } finally {
      await endChildren();
      await endPostgres(runFolder(), isAlive);
      killWhatIsLeft();
    }
  }

  return {
    trouble,
    /** Of the API, of somebody who may decide. */
    token: tokens.approver,
    askedIn,
    start: () => {
      starting = startStack({ playbook: name, ...trouble.stack });
      return starting;
    },
    stop,
  };
}

/** Its server is one that outlives those who use it. Killed, it would leave its shared memory. */
async function endPostgres(folder, isAlive) {
  for (const entry of readdirSync(folder).filter((one) => one.startsWith("postgres-"))) {
    const pid = postmaster(join(folder, entry, "data/postmaster.pid"));
    if (pid === null || !isAlive(pid)) continue;
    process.kill(pid, "SIGINT");
    for (const until = Date.now() + patienceMs; isAlive(pid) && Date.now() < until; ) await pause(50);
  }
}

function postmaster(file) {
  try {
    return Number(readFileSync(file, "utf8").split("\n")[0]) || null;
  } catch {
    return null;
  }
}
