/** Row 47: on a host whose polkit is too old for rules, `paramedic polkit` prints none and says why. */

import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { builtProgram } from "../support/built.ts";
import { startChild } from "../support/process.ts";
import { temporaryFolder } from "../support/run-folder.ts";

const configuration = `
alertmanager: { tokens: [{ env: ALERTMANAGER_TOKEN }] }
targets:
  shop: { host: app-1, systemd: { units: [shop.service, nginx.service] } }
  clinic: { host: app-2, systemd: { units: [clinic.service], environment: { clinic.service: [CACHE_TIMEOUT] } } }
  anywhere: { systemd: { units: [agent.service] } }
  none: {}
`;

let folder: string;
let program: string;

beforeAll(async () => {
  program = join(await builtProgram(), "cli.js");
  folder = await temporaryFolder("polkit");
  await writeFile(join(folder, "paramedic.yaml"), configuration);
}, 90_000);

/** Runs the command on a host whose `pkaction --version` prints `version`; null: on one without polkit. */
async function polkit(version: string | null, ...args: readonly string[]) {
  const bin = join(folder, `bin-${version ?? "none"}`.replaceAll(/[^\w.-]/g, "_"));
  await mkdir(bin, { recursive: true });
  if (version !== null) {
    await writeFile(join(bin, "pkaction"), `#!/bin/sh\necho '${version}'\n`);
    await chmod(join(bin, "pkaction"), 0o755);
  }
  const child = await startChild(process.execPath, [program, "polkit", ...args], {
    cwd: folder,
    env: { PATH: bin, ALERTMANAGER_TOKEN: "a-long-random-token-1" },
  });
  const { code } = await child.exited;
  return { code, output: child.output() };
}

test.each(["pkaction version 0.105", "pkaction version 0.96"])("%s: refused with the reason", async (version) => {
  const { code, output } = await polkit(version, "--user", "paramedic");
  expect(code).toBe(1);
  expect(output).toMatch(
    /has no JavaScript rules \(they came with 0\.106\).*systemd\.restart is therefore not to be used/,
  );
  expect(output).not.toContain("addRule");
});

test.each([
  ["no polkit", null, "polkit is not installed"],
  ["a version that cannot be read", "who knows", "The version of polkit is not known"],
])("%s: refused", async (_what, version, reason) => {
  const { code, output } = await polkit(version, "--user", "paramedic");
  expect(code).toBe(1);
  expect(output).toContain(reason);
  expect(output).not.toContain("addRule");
});

test.each(["pkaction version 0.106", "pkaction version 0.120", "pkaction version 121", "pkaction version 126"])(
  "%s: the rules are printed",
  async (version) => {
    const { code, output } = await polkit(version, "--user", "paramedic");
    expect(code).toBe(0);
    expect(output).toContain('var units = ["agent.service","clinic.service","nginx.service","shop.service"];');
    expect(output).toContain('subject.user !== "paramedic"');
    expect(output).toContain("reload-daemon");
  },
);

test("with a host, only its units are in them, and what only other hosts need is not", async () => {
  const { output } = await polkit("pkaction version 122", "--user", "paramedic", "--host", "app-1");
  expect(output).toContain('var units = ["agent.service","nginx.service","shop.service"];');
  expect(output).not.toContain("reload-daemon");
});

test.each([
  ["a user that is none", ["--user", 'x"; return polkit.Result.YES; //'], 2],
  ["an empty user", ["--user", ""], 2],
  ["no user", [], 2],
  ["a configuration that is not there", ["--user", "paramedic", "--config", "absent.yaml"], 2],
])("%s is wrong usage", async (_what, args, expected) => {
  const { code, output } = await polkit("pkaction version 122", ...args);
  expect([code, output.includes("addRule")]).toEqual([expected, false]);
});
