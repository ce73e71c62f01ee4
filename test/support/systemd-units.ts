/** Units for tests: an application that answers over HTTP, and services that fail in the ways that services do. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import type { TestSystemd } from "./systemd.ts";

/** An HTTP application: /health (503 where MODE=sick), /environment, and /die, which ends it. */
const application = `
import { createServer } from "node:http";
const { PORT, MODE } = process.env;
createServer((request, response) => {
  if (request.url === "/die") process.exit(42);
  if (request.url === "/environment") return response.end(JSON.stringify(process.env));
  response.writeHead(request.url === "/health" && MODE === "sick" ? 503 : 200).end("here is " + process.pid);
}).listen(Number(PORT), "127.0.0.1", () => console.log("listening on " + PORT));
`;

/** The text of a unit that runs `command` until it is stopped; `lines` are further lines of [Service]. */
export function serviceUnit(command: string, lines: readonly string[] = [], unit: readonly string[] = []): string {
  const parts = ["[Unit]", "StartLimitIntervalSec=0", ...unit, "[Service]", `ExecStart=${command}`, ...lines];
  return `${parts.join("\n")}\n`;
}

/** The units that most tests use. */
export interface Ailments {
  /** The port of app.service. */
  readonly port: number;
  /** While this file exists, conditional.service may start, and looping.service stays up. */
  readonly condition: string;
}

/**
 * Installs them: `app`, `crasher` (fails two seconds after its start), `looping` (fails at once and is started again by
 * systemd two seconds later), `conditional`, `slow-stop` (ignores SIGTERM for
 * three seconds), `no-binary`, `limited` (at most three starts in a minute), `oneshot`, `bystander`.
 */
export async function installAilments(systemd: TestSystemd): Promise<Ailments> {
  const programs = join(systemd.folder, "programs");
  await mkdir(programs);
  const port = await freePort();
  const condition = join(programs, "condition");
  await writeFile(join(programs, "app.mjs"), application);
  const app = `${process.execPath} ${join(programs, "app.mjs")}`;
  const sleeper = "/bin/sleep infinity";
  await systemd.install({
    "app.service": serviceUnit(app, [`Environment=PORT=${port} MODE=ok`, "Restart=on-failure", "RestartSec=100ms"]),
    "crasher.service": serviceUnit('/bin/sh -c "sleep 2; exit 1"'),
    "looping.service": serviceUnit(`/bin/sh -c "test -e ${condition} && exec sleep infinity"`, [
      "Restart=on-failure",
      "RestartSec=2s",
    ]),
    "conditional.service": serviceUnit(sleeper, [], [`ConditionPathExists=${condition}`]),
    "slow-stop.service": serviceUnit(`/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'`, ["TimeoutStopSec=3"]),
    "no-binary.service": serviceUnit("/nonexistent/program"),
    "limited.service": serviceUnit(sleeper, [], ["StartLimitIntervalSec=60", "StartLimitBurst=3"]),
    "oneshot.service": serviceUnit("/bin/true", ["Type=oneshot"]),
    "bystander.service": serviceUnit(sleeper),
  });
  return { port, condition };
}
