import { chmod, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RollbackPlan } from "../../../src/actions/deploy/progress.ts";
import { deployRollback } from "../../../src/actions/deploy/rollback.ts";
import type { DeployTarget, Target } from "../../../src/domain/target.ts";
import { isInstalled, serviceUnless } from "../../support/real-service.ts";
import { until } from "../../support/until.ts";
import { bareTarget, contextFor } from "../context.ts";
import { createRepository, type Repository } from "./repository.ts";

const git = serviceUnless(isInstalled("git") ? null : "git is not installed");
const rollback = deployRollback({ systemBusAddress: null });

git.describe("deploy.rollback of a checkout", () => {
  let repository: Repository;
  let installer: string;
  let commits: { one: string; two: string; three: string };

  beforeEach(async () => {
    repository = await createRepository();
    const { commit, folder } = repository;
    const one = await commit(
      "first",
      { "app.py": "1", "requirements.txt": "a==1", ".gitignore": "*.done\n*.sh" },
      "v1",
    );
    const two = await commit("second", { "app.py": "2" }, "v2");
    await repository.git("tag", "nightly", two);
    const three = await commit("third; token=hunter2 $(id)", { "app.py": "3", "requirements.txt": "a==2" }, "v3");
    commits = { one, two, three };
    installer = join(folder, "install.sh");
    await installerThat("cat requirements.txt >> installed.done");
  });

  afterEach(() => rm(repository.folder, { recursive: true }));

  const installerThat = async (does: string) => {
    await writeFile(installer, `#!/bin/sh\n${does}\n`);
    await chmod(installer, 0o755);
  };
  const targetWith = (change: Partial<DeployTarget> = {}): Target => ({
    ...bareTarget,
    deploy: {
      checkout: repository.folder,
      tags: "v*",
      dependencies: [installer, "-r"],
      caches: [],
      restart: [],
      ...change,
    },
  });
  const plan = (input: { tag?: string } = {}, target = targetWith()) =>
    rollback.plan({ migrations: "unapply", ...input }, contextFor(target));
  const planned = async (input: { tag?: string } = {}, target = targetWith()): Promise<RollbackPlan> => {
    const result = await plan(input, target);
    if (result.status !== "planned") throw new Error(result.reason);
    return result.plan;
  };
  const apply = (made: RollbackPlan, target = targetWith(), signal?: AbortSignal) =>
    rollback.apply(made, contextFor(target, signal));
  const probe = (made: RollbackPlan) => rollback.probe?.(made, contextFor(targetWith()));
  const head = () => repository.git("rev-parse", "HEAD");
  const file = (name: string) => readFile(join(repository.folder, name), "utf8").catch(() => null);

  test("says from what to what, which commits and dependencies, and changes nothing by looking", async () => {
    const before = [await head(), await repository.git("status", "--porcelain"), await file(".git/index")];
    const result = await plan();
    expect(result).toMatchObject({
      status: "planned",
      plan: { from: commits.three, branch: "main", to: commits.two, tag: "v2", dependencies: [installer, "-r"] },
      effects: [
        `check out v2 (${commits.two.slice(0, 10)}) in ${repository.folder}, 1 commits back from main (${commits.three.slice(0, 10)})`,
        expect.stringMatching(/^take back [0-9a-f]+ third; token=\[redacted\] \$\(id\)$/),
        `run ${installer} -r, since requirements.txt would change`,
        "requirements.txt: a==2 → a==1",
      ],
    });
    expect(await plan()).toEqual(result);
    expect([await head(), await repository.git("status", "--porcelain"), await file(".git/index")]).toEqual(before);
    expect(await file(".git/paramedic-rollback.json")).toBeNull();
  });

  test("goes back to the tag before, does it once, and tells so", async () => {
    const made = await planned();
    expect(await probe(made)).toBe("not-applied");
    expect(await apply(made)).toEqual({
      status: "done",
      result: { tag: "v2", from: commits.three, to: commits.two, unapplied: [] },
    });
    expect([await head(), await file("app.py"), await file("installed.done")]).toEqual([commits.two, "2", "a==1"]);
    expect(await probe(made)).toBe("applied");
    expect(await apply(made)).toMatchObject({ status: "done" });
    expect(await file("installed.done")).toBe("a==1");
    expect(await planned()).toMatchObject({ from: commits.two, branch: null, tag: "v1" });
  });

  test("after a new deploy of the same version the same rollback is done again", async () => {
    await apply(await planned());
    await repository.git("checkout", "--quiet", "main");
    const made = await planned();
    expect(await probe(made)).toBe("not-applied");
    expect(await apply(made)).toMatchObject({ status: "done" });
    expect([await head(), await file("installed.done")]).toEqual([commits.two, "a==1a==1"]);
  });

  test("goes to a tag that was asked for, if it is one before what is checked out", async () => {
    expect(await planned({ tag: "v1" })).toMatchObject({ to: commits.one, tag: "v1" });
    await repository.git("checkout", "--quiet", "--detach", "v2");
    for (const tag of ["v3", "v9", "nightly", "main", commits.one]) {
      expect(await plan({ tag })).toMatchObject({
        status: "failed",
        retryable: false,
        reason: expect.stringMatching(/^The tag that was asked for is none like v\* before what is checked out/),
      });
    }
  });

  test("where there is no tag before, that is said", async () => {
    await repository.git("checkout", "--quiet", "--detach", "v1");
    expect(await plan()).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(/^There is no tag like v\*/),
    });
    expect(await plan({}, targetWith({ tags: "release-*" }))).toMatchObject({ status: "failed" });
  });

  test.each<[string, () => Promise<unknown>, () => Target, string]>([
    [
      "a file that was changed by hand",
      () => writeFile(join(repository.folder, "app.py"), "by hand"),
      () => targetWith(),
      "app.py",
    ],
    [
      "dependencies without a way to install them",
      async () => {},
      () => ({ ...bareTarget, deploy: { checkout: repository.folder, tags: "v*", caches: [], restart: [] } }),
      "no deploy.dependencies",
    ],
    [
      "a folder inside of a checkout",
      () => mkdir(join(repository.folder, "in")),
      () => targetWith({ checkout: join(repository.folder, "in") }),
      "no checkout of git, only inside",
    ],
    ["no folder", async () => {}, () => targetWith({ checkout: "/nowhere/at-all" }), "/nowhere/at-all"],
    ["no repository", async () => {}, () => targetWith({ checkout: "/usr" }), "not a git repository"],
    ["no deploy", async () => {}, () => bareTarget, "has no deploy:"],
    [
      "a unit that the target does not list",
      async () => {},
      () => targetWith({ restart: ["x.service"] }),
      "has no systemd:",
    ],
  ])("%s is refused", async (_name, arrange, target, words) => {
    await arrange();
    expect(await plan({}, target())).toMatchObject({ status: "failed", reason: expect.stringContaining(words) });
    expect(await head()).toBe(commits.three);
  });

  test("what changed between plan and apply is refused", async () => {
    const made = await planned();
    expect(await apply(made, targetWith({ dependencies: ["/bin/true"] }))).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("has changed since this was planned"),
    });
    await writeFile(join(repository.folder, "app.py"), "by hand");
    expect(await apply(made)).toMatchObject({ status: "failed", reason: expect.stringContaining("changed by hand") });
    await repository.commit("fourth", {});
    expect(await apply(made)).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("not where it was planned from"),
    });
    expect(await probe(made)).toBe("unknown");
  });

  test("what is read of requirements is bounded, and no secret shows", async () => {
    const many = Array.from({ length: 14 }, (_, index) => `p${index}==2`).join("\n");
    await repository.commit("many", { "requirements.txt": `${many}\ngit+https://u:hunter2@h/x.git\n` });
    const result = await plan();
    const effects = result.status === "planned" ? result.effects.slice(-12) : [];
    expect(effects[1]).toBe("requirements.txt: not listed → a==2");
    expect(effects[2]).toBe("requirements.txt: git+https://[redacted]@h/x.git → not listed");
    expect(effects.at(-1)).toBe("and 6 more requirements that would change");
  });

  test("stops at the first failure with the way back; started again it goes on with the same plan", async () => {
    await installerThat("echo half > half.done; echo 'ERROR: no such version; password=hunter2' >&2; exit 3");
    const made = await planned();
    expect(await apply(made)).toEqual({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(
        `^The rollback to v2 stopped at the dependencies: ${installer} failed \\(exit code 3\\): ERROR: no such version; password=\\[redacted\\]\\. ` +
          `Done: checkout\\. Begun: dependencies\\. Start it again to go on\\. ` +
          `The way back: git -C ${repository.folder} checkout main; ${installer} -r\\.$`,
      ),
    });
    expect(await head()).toBe(commits.two);
    expect(await probe(made)).toBe("not-applied");
    expect(await plan({ tag: "v1" })).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("A rollback to v2 was begun"),
    });
    await installerThat("cat requirements.txt >> installed.done");
    expect(await plan()).toEqual({
      status: "planned",
      plan: made,
      effects: ["go on with the rollback to v2: the dependencies"],
    });
    expect(await apply(made)).toMatchObject({ status: "done" });
    expect([await head(), await file("installed.done")]).toEqual([commits.two, "a==1"]);
  });

  test("dependencies that are told of without an end are ended, and that is said", async () => {
    await installerThat("head -c 17000000 /dev/zero; sleep 300");
    expect(await apply(await planned())).toMatchObject({
      status: "failed",
      reason: expect.stringContaining(`${installer} was ended, since it printed more than 16 MiB.`),
    });
  });

  test("what is checked out and installed can be read by others, whatever Paramedic keeps to itself", async () => {
    await mkdir(join(repository.folder, "gone"));
    await repository.commit("with a folder", { "gone/app.py": "4" }, "v4");
    await repository.git("rm", "-r", "--quiet", "gone");
    await repository.commit("without", { "requirements.txt": "a==3", "app.py": "5" });
    await installerThat("echo > installed.done");
    const made = await planned();
    const before = process.umask(0o077);
    try {
      expect(await apply(made)).toMatchObject({ status: "done" });
      expect(process.umask()).toBe(0o077);
    } finally {
      process.umask(before);
    }
    const modes = ["app.py", "gone", "gone/app.py", "installed.done"].map(async (name) => {
      return ((await stat(join(repository.folder, name))).mode & 0o777).toString(8);
    });
    expect(await Promise.all(modes)).toEqual(["644", "755", "644", "644"]);
    const progress = await stat(join(repository.folder, ".git/paramedic-rollback.json"));
    expect(progress.mode & 0o777).toBe(0o600);
  });

  test("who goes the way back is believed: the next rollback begins anew", async () => {
    await installerThat("exit 3");
    await apply(await planned());
    await repository.git("checkout", "--quiet", "main");
    await installerThat("cat requirements.txt >> installed.done");
    expect(await planned({ tag: "v1" })).toMatchObject({ from: commits.three, tag: "v1" });
    expect(await apply(await planned())).toMatchObject({ status: "done" });
    expect(await file("installed.done")).toBe("a==1");
  });

  test("stopped in a step, all that it started is ended, it is not known how far it came, and it goes on from there", async () => {
    await installerThat("sleep 300 & echo $! > pid.done; wait");
    const made = await planned();
    const abort = new AbortController();
    const outcome = apply(made, targetWith(), abort.signal);
    await until(async () => Number(await file("pid.done")) > 0);
    abort.abort();
    expect(await outcome).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("Stopped at the dependencies"),
    });
    const pid = Number(await file("pid.done"));
    await until(async () => !isAlive(pid));
    await installerThat("cat requirements.txt >> installed.done");
    expect(await probe(made)).toBe("not-applied");
    expect(await planned()).toEqual(made);
    expect(await apply(made)).toMatchObject({ status: "done" });
    expect(await file("installed.done")).toBe("a==1");
  });

  test("aborted before it starts nothing changes", async () => {
    const made = await planned();
    expect(await apply(made, targetWith(), AbortSignal.abort())).toMatchObject({ status: "failed", retryable: true });
    expect(await rollback.plan({ migrations: "unapply" }, contextFor(targetWith(), AbortSignal.abort()))).toMatchObject(
      {
        status: "failed",
        retryable: true,
      },
    );
    expect(await head()).toBe(commits.three);
  });

  test("neither hooks nor programs of the repository's own configuration are run", async () => {
    const hook = join(repository.folder, ".git/hooks/post-checkout");
    await writeFile(hook, `#!/bin/sh\ntouch ${repository.folder}/hook.done\n`);
    await chmod(hook, 0o755);
    await repository.git("config", "core.fsmonitor", hook);
    await symlink(hook, join(repository.folder, ".git/hooks/pre-commit"));
    expect(await apply(await planned())).toMatchObject({ status: "done" });
    expect(await file("hook.done")).toBeNull();
  });

  test("migrations of the tag that were changed or removed since are for a person", async () => {
    await mkdir(join(repository.folder, "core/migrations"), { recursive: true });
    await repository.commit("with", { "core/migrations/0001_initial.py": "a" }, "v4");
    await repository.commit("changed", { "core/migrations/0001_initial.py": "b" });
    expect(await plan()).toMatchObject({ status: "failed", reason: expect.stringContaining("was changed since v4") });
    await rm(join(repository.folder, "core/migrations/0001_initial.py"));
    await repository.commit("removed", {});
    expect(await plan()).toMatchObject({ status: "failed", reason: expect.stringContaining("was removed since v4") });
  });

  test.each([
    null,
    { tag: "" },
    { tag: "--upload-pack=x" },
    { tag: "-v" },
    { tag: "v1; id" },
    { tag: "$(id)" },
    { tag: "../../etc" },
    { tag: "v1\n" },
    { tag: "a..b" },
    { tag: "v1^{commit}" },
    { tag: ["v1"] },
    { checkout: "/" },
    { migrations: "zero" },
  ])("%j is refused as an input", (input) => {
    expect(rollback.input.safeParse(input).success).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
