/**
 * The shipped, hardened unit run by a user without rights, with what the documents give it: the journal's group, the rules
 * that `paramedic polkit` prints, and the folder of one unit's drop-ins. That is enough for the actions, and for no more.
 */

import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import type { RunView } from "../../src/api/run-view.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { builtProgram } from "../support/built.ts";
import { systemdService } from "../support/systemd.ts";
import { until } from "../support/until.ts";
import { installPackaged, type Packaged, user } from "./packaged.ts";

jest.setTimeout(60_000);

const token = "a-long-random-token-2";

/** What the playbooks do; `bystander.service` is not among the units that the rules were made for. */
const playbooks = {
  mend: [
    { id: "lines", do: "systemd.journal", with: { unit: "app.service" } },
    {
      id: "set",
      do: "systemd.set-environment",
      with: { unit: "app.service", variables: { GREETING: "hello" }, until: "durable" },
    },
    { id: "restart", do: "systemd.restart", with: { unit: "app.service" } },
  ],
  meddle: [{ id: "restart", do: "systemd.restart", with: { unit: "bystander.service" } }],
  intrude: [
    {
      id: "set",
      do: "systemd.set-environment",
      with: { unit: "bystander.service", variables: { GREETING: "hello" }, until: "durable" },
    },
  ],
};

systemdService.describe("packaging/paramedic.service as a user without rights", () => {
  let ward: UnitWard;
  let packaged: Packaged;

  const sectionsWith = (units: readonly string[]) => ({
    api: { tokens: [{ name: "tests", role: "approver", secret: { env: "API_TOKEN" } }] },
    escalation: { people: [{ after: "0s", email: ["oncall@example.net"] }] },
    targets: {
      shop: {
        systemd: {
          units,
          environment: Object.fromEntries(units.map((unit) => [unit, ["GREETING"]])),
          settle: "1s",
        },
        files: { folders: ["/var/lib/paramedic"] },
      },
    },
  });

  beforeAll(async () => {
    ward = await createUnitWard();
    const { systemd } = ward;
    await systemd.systemctl("start", "app.service", "bystander.service");
    const texts = Object.entries(playbooks).map(([name, steps]) =>
      stringify({
        name,
        summary: "Change a unit.",
        on: { alerts: [`alertname="${name}"`] },
        target: { name: "shop" },
        escalate: "people",
        steps: steps.map((step) => (step.do === "systemd.journal" ? step : { ...step, approval: "never" })),
        verify: [{ do: "files.disk-usage", expect: "output.leastFreePercent >= 0", within: "20s", every: "1s" }],
      }),
    );
    const lines = [
      "SupplementaryGroups=systemd-journal",
      `Environment=API_TOKEN=${token}`,
      "ReadWritePaths=/etc/systemd/system/app.service.d",
    ];
    const folder = join(systemd.units, "app.service.d");
    await mkdir(folder);
    await promisify(execFile)("chown", [`${user}:${user}`, folder]);
    await mkdir(join(systemd.units, "bystander.service.d"));
    packaged = await installPackaged(systemd, {
      lines,
      playbooks: texts,
      sections: sectionsWith(["app.service", "bystander.service"]),
    });
    await writeFile(join(systemd.rules, "50-paramedic.rules"), await printedRules(["app.service"]));
    await packaged.start();
  });
  afterAll(() => ward?.systemd.down());

  /** As `paramedic polkit` prints them for a configuration with these units. */
  async function printedRules(units: readonly string[]): Promise<string> {
    const file = join(ward.systemd.folder, "rules.yaml");
    const { playbooks: folder, ...rest } = JSON.parse(
      await readFile(join(ward.systemd.folder, "run/paramedic.yaml"), "utf8"),
    );
    await writeFile(
      file,
      JSON.stringify({ ...rest, playbooks: join(ward.systemd.folder, folder), ...sectionsWith(units) }),
    );
    const program = join(await builtProgram(), "cli.js");
    const env = { PATH: "/usr/bin:/bin", ALERTMANAGER_TOKEN: "a-long-random-token-1", API_TOKEN: token };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [program, "polkit", "--user", user, "--config", file],
      { env },
    );
    return stdout;
  }

  const ask = async (path: string, bearer: string, body?: object) => {
    const response = await fetch(`${packaged.url}${path}`, {
      method: body ? "POST" : "GET",
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json", connection: "close" },
      ...(body && { body: JSON.stringify(body) }),
    });
    return (await response.json()) as unknown;
  };

  async function ran(playbook: string): Promise<RunView> {
    const { id } = (await ask("/api/v1/runs", token, { playbook, target: "shop", reason: "a test" })) as { id: string };
    return until(
      async () => {
        const run = (await ask(`/api/v1/runs/${id}`, token)) as RunView;
        return run.state === "ended" && run;
      },
      { timeoutMs: 30_000, what: () => `${playbook} to end` },
    ).catch(async (error) => {
      throw new Error(await packaged.journal(), { cause: error });
    });
  }

  test("it really runs as that user, without capabilities", async () => {
    const pid = await ward.systemd.show("paramedic.service", "MainPID");
    const { stdout } = await ward.systemd.inside("cat", `/proc/${pid}/status`);
    expect(stdout).toMatch(/^CapEff:\t0+$/m);
    expect(stdout).toMatch(/^NoNewPrivs:\t1$/m);
    expect(stdout).not.toMatch(/^Uid:\t0\t/m);
  });

  test("it reads the journal, sets a variable and restarts the unit", async () => {
    const before = await ward.systemd.show("app.service", "InvocationID");
    const run = await ran("mend");
    expect(run).toMatchObject({ outcome: "fixed" });
    const lines = run.events.find(({ type }) => type === "step-observed");
    expect(JSON.stringify(lines)).toContain(`listening on ${ward.port}`);
    expect(await ward.systemd.show("app.service", "InvocationID")).not.toBe(before);
    const environment = await (await fetch(`http://127.0.0.1:${ward.port}/environment`)).json();
    expect(environment).toMatchObject({ GREETING: "hello" });
  });

  test("another unit is not restarted: polkit denies it, though the target lists it", async () => {
    const before = await ward.systemd.show("bystander.service", "InvocationID");
    const run = await ran("meddle");
    expect(run).toMatchObject({ outcome: "failed" });
    expect(JSON.stringify(run.events)).toMatch(/polkit|denied/i);
    expect(await ward.systemd.show("bystander.service", "InvocationID")).toBe(before);
  });

  test("nor is a variable of another unit set: its folder is not given", async () => {
    const run = await ran("intrude");
    expect(run).toMatchObject({ outcome: "failed" });
    expect(JSON.stringify(run.events)).toContain("Paramedic may not write /etc/systemd/system/bystander.service.d");
    expect(await readdir(join(ward.systemd.units, "bystander.service.d"))).toEqual([]);
  });
});
