import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { askDjango, orderDjango } from "../../../src/actions/django/python.ts";
import { report } from "../../../src/actions/django/report.ts";
import { warmCaches } from "../../../src/actions/django/warm-caches.ts";
import type { DjangoTarget, Target } from "../../../src/domain/target.ts";
import { isAlive } from "../../support/process.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { until } from "../../support/until.ts";
import { djangoService, python } from "../../support/youtility3.ts";
import { bareTarget, canary, contextFor } from "../context.ts";

const settings = `
SECRET_KEY = "key-${canary}"
INSTALLED_APPS = []
CACHES = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "cache"}}
SERVICES = [{"mail": {"apiToken": "tok-${canary}"}, "url": "amqp://user:url-${canary}@queue/"}]
`;

const tricks = `
import os, subprocess, sys, time
from django.conf import settings

def environment():
    return dict(os.environ)

def broken():
    raise ValueError(f"cannot\\nuse {settings.SECRET_KEY}, {settings.SERVICES} or {os.environ['BROKER']} " + "x" * 5000)

def noisy():
    print("noise " * 100000)
    print('{"value": "forged"}')
    subprocess.run(["echo", '{"value": "forged too"}'])
    return {"read": sys.stdin.read(), "argv": sys.argv[1:]}

def large():
    return "x" * (1024 * 1024)

def deep():
    value = 1
    for _ in range(101):
        value = [value]
    return value

def odd():
    return object()

def nan():
    return float("nan")

def leaves():
    sys.exit("settings.py says no")

def dies():
    os._exit(7)

def hang():
    sleepers = [subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sh", "-c", "sleep 600; true"])]
    with open("pids.new", "w") as file:
        file.write(" ".join(str(pid) for pid in [os.getpid()] + [one.pid for one in sleepers]))
    os.rename("pids.new", "pids")
    time.sleep(600)

def leave_behind():
    return subprocess.Popen(["sleep", "600"]).pid

number = 7
`;

let folder: string;

function target(django: Partial<DjangoTarget> = {}): Target {
  const names = "environment broken noisy large deep odd nan leaves dies hang leave_behind missing number".split(" ");
  return {
    ...bareTarget,
    django: {
      project: folder,
      python,
      settings: "site_settings",
      env: { BROKER: `amqp://user:broker-${canary}@queue/`, API_TOKEN: `env-${canary}` },
      warmUp: ["tricks.hang"],
      reports: ["absent.module.call", ...names.map((name) => `tricks.${name}`)],
      metrics: {},
      ...django,
    },
  };
}

const look = (name: string, at = target(), signal?: AbortSignal) =>
  report.observe({ name, arguments: {} }, contextFor(at, signal));

/** The processes that \`tricks.hang\` says it is. */
async function hanging(): Promise<readonly number[]> {
  const pids = await until(() => readFile(join(folder, "pids"), "utf8"), { timeoutMs: 20_000 });
  return pids.split(" ").map(Number);
}

djangoService.describe("Python in a target's project", () => {
  beforeEach(async () => {
    folder = await temporaryFolder("django");
    await writeFile(join(folder, "site_settings.py"), settings);
    await writeFile(join(folder, "tricks.py"), tricks);
  });

  test("sees its configured environment and nothing of Paramedic's", async () => {
    const seen = await look("tricks.environment");
    expect(seen).toEqual({
      status: "observed",
      output: {
        result: {
          PATH: expect.stringMatching(/^\/usr\/local\/sbin:/),
          LANG: "C.UTF-8",
          // What looks like a secret stays with the project.
          API_TOKEN: "[redacted]",
          BROKER: "amqp://[redacted]@queue/",
          DJANGO_SETTINGS_MODULE: "site_settings",
          // Django's own doing.
          TZ: "America/Chicago",
        },
      },
    });
  });

  test("what it prints is no answer, and it has no input to read", async () => {
    const seen = await look("tricks.noisy");
    expect(seen).toEqual({ status: "observed", output: { result: { read: "", argv: ["report"] } } });
  });

  test("an exception becomes a short reason with its place and without any secret", async () => {
    const seen = await look("tricks.broken");
    if (seen.status !== "failed") throw new Error("it should have failed");
    const line = tricks.split("\n").findIndex((text) => text.includes("raise ValueError")) + 1;
    expect(seen.reason).toContain(
      `The Django project of target shop raised (tricks.py line ${line}) ValueError: cannot use`,
    );
    expect(seen.reason).toContain("[secret]");
    expect(seen.reason).not.toContain(canary);
    expect(seen.reason.length).toBeLessThanOrEqual(600);
    expect(seen.reason).not.toContain("\n");
  });

  test.each([
    ["tricks.large", "the answer is larger than 1 MiB"],
    ["tricks.deep", "the answer is nested more than 100 levels deep"],
    ["tricks.odd", "the answer is no JSON: Object of type object is not JSON serializable"],
    ["tricks.nan", "the answer is no JSON"],
    ["tricks.missing", "there is no tricks.missing in the project: tricks has no such missing"],
    ["tricks.number", "tricks.number is nothing that can be called"],
    ["absent.module.call", "no module absent can be imported"],
    ["tricks.leaves", "raised (tricks.py line 33) SystemExit: settings.py says no"],
    ["tricks.dies", "ended with code 7"],
  ])("%s is a clear failure", async (name, reason) => {
    expect(await look(name)).toMatchObject({
      status: "failed",
      reason: expect.stringContaining(reason),
      retryable: false,
    });
  });

  test("what stands in its way before it begins is told", async () => {
    await writeFile(join(folder, "bad_settings.py"), "import absent_package");
    const reasons = [
      [{ project: join(folder, "gone") }, "There is no folder"],
      [{ python: join(folder, "no-python") }, "cannot be started (ENOENT)"],
      [{ python: join(folder, "tricks.py") }, "cannot be started (EACCES)"],
      [{ python: "/bin/false" }, "ended with code 1"],
      [
        { settings: "bad_settings" },
        "while Django was set up with bad_settings (bad_settings.py line 1) ModuleNotFound",
      ],
      [{ settings: "no_settings" }, "No module named 'no_settings'"],
    ] as const;
    for (const [django, reason] of reasons) {
      const seen = await look("tricks.noisy", target(django));
      expect(seen).toMatchObject({ status: "failed", reason: expect.stringContaining(reason), retryable: false });
    }
  });

  test("a folder whose name means something to a shell is a folder", async () => {
    const strange = join(folder, "$(touch pwned); `touch pwned` && -c 'x'");
    await mkdir(strange);
    for (const file of ["tricks.py", "site_settings.py"]) await symlink(join(folder, file), join(strange, file));
    expect(await look("tricks.noisy", target({ project: strange }))).toMatchObject({ status: "observed" });
    await expect(readFile(join(folder, "pwned"))).rejects.toThrow("ENOENT");
    await expect(readFile(join(strange, "pwned"))).rejects.toThrow("ENOENT");
  });

  test("an abort ends it and everything it has started", async () => {
    const abort = new AbortController();
    const seen = look("tricks.hang", target(), abort.signal);
    const pids = await hanging();
    expect(pids.map(isAlive)).toEqual([true, true, true]);
    abort.abort();
    expect(await seen).toMatchObject({ status: "failed", retryable: true });
    await until(() => !pids.some(isAlive));
  });

  test("so does the end of its time", async () => {
    const order = { do: "report", names: ["tricks.hang"], arguments: {} };
    const seen = askDjango(contextFor(target()), order, 3_000);
    const pids = await hanging();
    expect(await seen).toMatchObject({ reason: expect.stringContaining("took longer than 3 s"), retryable: true });
    await until(() => !pids.some(isAlive));
  });

  test("so does the end of Paramedic", async () => {
    const script = resolve(__dirname, "../../../src/actions/django/call.py");
    const started = spawn(python, ["-B", script, "report"], {
      cwd: folder,
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    const order = { do: "report", names: ["tricks.hang"], arguments: {}, project: folder, settings: "site_settings" };
    started.stdin.write(`${JSON.stringify(order)}\n`);
    const pids = await hanging();
    const ended = once(started, "exit");
    started.stdin.destroy();
    expect(await ended).toEqual([null, "SIGKILL"]);
    await until(() => !pids.some(isAlive));
  });

  test("what it leaves behind when it has answered is ended too", async () => {
    const seen = await look("tricks.leave_behind");
    if (seen.status !== "observed") throw new Error(seen.reason);
    await until(() => !isAlive(seen.output.result as number));
  });

  test("a change that was stopped after it began cannot be told, and one before it began can", async () => {
    await mkdir(join(folder, "cache"));
    const abort = new AbortController();
    const outcome = warmCaches.apply({ calls: ["tricks.hang"] }, contextFor(target(), abort.signal));
    await hanging();
    abort.abort();
    expect(await outcome).toMatchObject({ status: "unknown", reason: expect.stringContaining("It had begun") });
    const order = { do: "call", names: ["tricks.missing"], arguments: {} };
    expect(await orderDjango(contextFor(target()), order)).toMatchObject({ status: "failed" });
  });

  test("is told nothing by its command line but what to do", async () => {
    const abort = new AbortController();
    const seen = look("tricks.hang", target(), abort.signal);
    const [pid] = await hanging();
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    expect(words).toEqual([python, "-B", "-X", "utf8", expect.stringMatching(/\/call\.py$/), "report", ""]);
    abort.abort();
    await seen;
  });
});
