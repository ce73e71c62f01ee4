/** A rollback whose `git checkout` is ended in the middle: what is left is gone on with, and nothing of a person's is lost. */

import { existsSync } from "node:fs";
import { readdir, readFile, readlink, rm, utimes, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RollbackPlan } from "../../../src/actions/deploy/progress.ts";
import { deployRollback } from "../../../src/actions/deploy/rollback.ts";
import type { Target } from "../../../src/domain/target.ts";
import { builtProgram } from "../../support/built.ts";
import { startNode } from "../../support/process.ts";
import { isInstalled, serviceUnless } from "../../support/real-service.ts";
import { until } from "../../support/until.ts";
import { bareTarget, contextFor } from "../context.ts";
import { createRepository, type Repository } from "./repository.ts";

const git = serviceUnless(isInstalled("git") ? null : "git is not installed");
const rollback = deployRollback({ systemBusAddress: null });

git.describe("deploy.rollback that is ended inside of git checkout", () => {
  let repository: Repository;
  let v1: string;

  const file = (name: string) => readFile(join(repository.folder, name), "utf8").catch(() => null);
  const head = () => repository.git("rev-parse", "HEAD");
  const lock = () => join(repository.folder, ".git/index.lock");
  const target = (): Target => ({
    ...bareTarget,
    deploy: { checkout: repository.folder, tags: "v*", caches: [], restart: [] },
  });
  const plan = (input: { tag?: string } = {}) =>
    rollback.plan({ migrations: "unapply", ...input }, contextFor(target()));
  const planned = async (): Promise<RollbackPlan> => {
    const result = await plan();
    if (result.status !== "planned") throw new Error(result.reason);
    return result.plan;
  };
  const apply = (made: RollbackPlan, signal?: AbortSignal) => rollback.apply(made, contextFor(target(), signal));
  const probe = (made: RollbackPlan) => rollback.probe?.(made, contextFor(target()));

  /** A version whose file `slow` git waits for as long as `.git/hold` is there, after it has written those before it. */
  beforeEach(async () => {
    repository = await createRepository();
    const filter = join(repository.folder, ".git/filter");
    const held = [`while [ -e ${repository.folder}/.git/hold ]`, "do echo > .git/held; sleep 0.02", "done", "cat"];
    await writeFile(filter, `#!/bin/sh\n${held.join("\n")}\n`, { mode: 0o755 });
    await repository.git("config", "filter.slow.smudge", filter);
    const attributes = { ".gitattributes": "slow filter=slow\n" };
    v1 = await repository.commit("one", { ...attributes, "app.py": "one", added: "one", slow: "one", zone: "1" }, "v1");
    await repository.git("rm", "--quiet", "added");
    await repository.commit("two", { "app.py": "two", gone: "two", slow: "two", zone: "2" });
  });
  afterEach(() => rm(repository.folder, { recursive: true }));

  const hold = () => writeFile(join(repository.folder, ".git/hold"), "");
  const release = () => rm(join(repository.folder, ".git/hold"), { force: true });
  const held = () => until(() => existsSync(join(repository.folder, ".git/held")), { what: "git to wait" });

  /** The git that works in the checkout. */
  async function gitThere(): Promise<number | null> {
    for (const name of await readdir("/proc")) {
      const place = await readlink(`/proc/${name}/cwd`).catch(() => null);
      const program = await readFile(`/proc/${name}/comm`, "utf8").catch(() => "");
      if (place === repository.folder && program === "git\n") return Number(name);
    }
    return null;
  }

  /** As when the machine is killed: the worker and git at once, in the middle. */
  async function killedInside(made: RollbackPlan): Promise<void> {
    await hold();
    const script = join(repository.folder, ".git/worker.mjs");
    const module = join(await builtProgram(), "actions/deploy/rollback.js");
    const context = "{ target, signal: new AbortController().signal, log: { info() {}, warn() {} }, now: Date.now }";
    await writeFile(
      script,
      `import { deployRollback } from ${JSON.stringify(module)};
       const target = ${JSON.stringify(target())};
       await deployRollback({ systemBusAddress: null }).apply(${JSON.stringify(made)}, ${context});`,
    );
    const worker = await startNode(script, [], { env: { PATH: "/usr/bin:/bin" }, cwd: resolve(".") });
    await held();
    process.kill((await gitThere()) as number, "SIGKILL");
    worker.process.kill("SIGKILL");
    await worker.exited;
    await until(async () => (await gitThere()) === null, { what: "git to be gone" });
    await release();
    expect([await head(), await file("app.py"), await file("added"), await file("zone")]).toEqual([
      made.from,
      "one",
      "one",
      "2",
    ]);
    expect(existsSync(lock())).toBe(true);
  }

  const isAtV1 = async () => {
    expect(await head()).toBe(v1);
    expect(await repository.git("status", "--porcelain")).toBe("");
    expect([await file("app.py"), await file("slow"), await file("gone")]).toEqual(["one", "one", null]);
    expect(existsSync(lock())).toBe(false);
  };

  test("killed with its worker, it is gone on with under the same plan, and the lock goes", async () => {
    const made = await planned();
    await killedInside(made);
    expect(await probe(made)).toBe("not-applied");
    expect(await plan()).toEqual({
      status: "planned",
      plan: made,
      effects: ["go on with the rollback to v1: git checkout"],
    });
    expect(existsSync(lock())).toBe(true);
    expect(await apply(made)).toMatchObject({ status: "done" });
    await isAtV1();
    expect(await probe(made)).toBe("applied");
  });

  test("a file that was cut off while git wrote it counts as git's", async () => {
    const made = await planned();
    await killedInside(made);
    await writeFile(join(repository.folder, "app.py"), "on");
    expect(await apply(made)).toMatchObject({ status: "done" });
    await isAtV1();
  });

  test("a file that a person has changed since is not lost: they are told which rollback was begun, and the way back", async () => {
    const made = await planned();
    await killedInside(made);
    for (const name of ["app.py", "added", "gone"]) {
      const before = await file(name);
      await writeFile(join(repository.folder, name), "by hand");
      const refused = {
        status: "failed",
        reason: expect.stringMatching(
          `1 files that are of neither version, such as ${name}\\. .* A rollback to v1 was begun there\\. Done: nothing\\. ` +
            `Begun: checkout\\. .* go back: git -C ${repository.folder} checkout --force main\\.$`,
        ),
      };
      expect(await plan()).toMatchObject(refused);
      expect(await apply(made)).toMatchObject(refused);
      expect(await file(name)).toBe("by hand");
      if (before === null) await rm(join(repository.folder, name));
      else await writeFile(join(repository.folder, name), before);
    }
    expect(existsSync(lock())).toBe(true);
    expect(await apply(made)).toMatchObject({ status: "done" });
  });

  test("a lock that is older than the rollback is left alone", async () => {
    const made = await planned();
    await killedInside(made);
    await utimes(lock(), 1_000_000, 1_000_000);
    const refused = { status: "failed", reason: expect.stringContaining("index.lock is none that Paramedic left") };
    expect(await plan()).toMatchObject(refused);
    expect(await apply(made)).toMatchObject(refused);
    expect(existsSync(lock())).toBe(true);
  });

  test("as long as a git is at work there it is waited for", async () => {
    const made = await planned();
    await killedInside(made);
    await hold();
    await rm(join(repository.folder, ".git/held"));
    await rm(lock());
    const other = repository.git("checkout", "--force", "--quiet", "v1");
    await held();
    const waits = { status: "failed", retryable: true, reason: expect.stringContaining("is still at work in") };
    expect(await plan()).toMatchObject(waits);
    expect(await apply(made)).toMatchObject(waits);
    await release();
    await other;
    expect(await apply(made)).toMatchObject({ status: "done" });
  });

  test("who goes the way back of it is believed: another tag may be gone to", async () => {
    await killedInside(await planned());
    expect(await plan({ tag: "v0" })).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("A rollback to v1 was begun"),
    });
    await rm(lock());
    await repository.git("checkout", "--force", "--quiet", "main");
    await rm(join(repository.folder, "added"));
    await repository.git("tag", "v0", v1);
    expect(await plan({ tag: "v0" })).toMatchObject({ status: "planned", plan: { tag: "v0" } });
  });

  test("a signal ends git at once, so that it does not meet the next one, and it is gone on with", async () => {
    const made = await planned();
    await hold();
    const abort = new AbortController();
    const outcome = apply(made, abort.signal);
    await held();
    const at = Date.now();
    abort.abort();
    expect(await outcome).toMatchObject({
      status: "unknown",
      reason: expect.stringMatching(/^Stopped at git checkout: .* Done: nothing\. Begun: checkout\.$/),
    });
    expect(Date.now() - at).toBeLessThan(1_900);
    expect(await gitThere()).toBeNull();
    await release();
    expect(await probe(made)).toBe("not-applied");
    expect(await planned()).toEqual(made);
    expect(await apply(made)).toMatchObject({ status: "done" });
    await isAtV1();
  });

  test("a git that is killed alone has failed, with the way back", async () => {
    const made = await planned();
    await hold();
    const outcome = apply(made);
    await held();
    process.kill((await gitThere()) as number, "SIGKILL");
    expect(await outcome).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(
        /stopped at git checkout: git checkout was ended by SIGKILL .* Begun: checkout\. .* checkout --force main\.$/,
      ),
    });
  });

  test("a checkout that git refuses has changed nothing, and is no more than that", async () => {
    const made = await planned();
    await writeFile(join(repository.folder, "added"), "a person's own");
    expect(await apply(made)).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(/^git checkout failed in \S+: error: The following untracked working tree files/),
    });
    expect(await file("added")).toBe("a person's own");
    await rm(join(repository.folder, "added"));
    expect(await planned()).toEqual(made);
    expect(await apply(made)).toMatchObject({ status: "done" });
  });
});
