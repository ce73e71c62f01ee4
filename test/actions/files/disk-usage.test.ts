import { execFileSync } from "node:child_process";
import { link, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskUsage } from "../../../src/actions/files/disk-usage.ts";
import type { Target } from "../../../src/domain/target.ts";
import { bareTarget, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "paramedic-usage-"));
  await mkdir(join(folder, "deep/deeper"), { recursive: true });
  await writeFile(join(folder, "deep/deeper/large"), Buffer.alloc(1024 * 1024, 1));
  await writeFile(join(folder, "small"), Buffer.alloc(8_192, 1));
  await link(join(folder, "deep/deeper/large"), join(folder, "deep/same"));
  await symlink("/usr", join(folder, "everything"));
});

afterAll(() => rm(folder, { recursive: true }));

const targetOf = (...folders: string[]): Target => ({ ...bareTarget, files: { folders } });

describeContract("files.disk-usage", {
  input: {},
  hostile: [null, { folder: "/etc" }, { largest: -1 }, { largest: 1_000 }, { largest: "10" }],
  healthy: () => ({ action: diskUsage, target: targetOf(folder) }),
  gone: () => ({ subject: { action: diskUsage, target: targetOf("/nowhere/at-all") }, named: "/nowhere/at-all" }),
  state: () => readdir(join(folder, "deep"), { recursive: true }),
});

test("says what df and du say, the largest first, without following links", async () => {
  const result = await diskUsage.observe({ largest: 2 }, contextFor(targetOf(folder)));
  const [size, free] = execFileSync("df", ["--output=size,avail", "-B1", folder], { encoding: "utf8" })
    .split(/\s+/)
    .filter((word) => /^\d+$/.test(word))
    .map(Number);
  const used = Number(execFileSync("du", ["-s", "-B1", join(folder, "deep")], { encoding: "utf8" }).split("\t")[0]);
  expect(result).toMatchObject({
    status: "observed",
    output: {
      folders: [
        {
          folder,
          totalBytes: size,
          files: 4,
          complete: true,
          largest: [
            { name: "deep", bytes: used },
            { name: "small", bytes: 8_192 },
          ],
        },
      ],
    },
  });
  if (result.status !== "observed") return;
  const [only] = result.output.folders;
  expect(Math.abs((only?.freeBytes ?? 0) - (free as number))).toBeLessThan(1024 ** 3);
  expect(only?.usedBytes).toBeGreaterThanOrEqual(used + 8_192);
  expect(result.output.leastFreePercent).toBe(only?.freePercent);
  expect(result.output.leastFreeBytes).toBe(only?.freeBytes);
});

test("a folder that is reached through a link is refused", async () => {
  const target = targetOf(join(folder, "everything/bin"));
  expect(await diskUsage.observe({ largest: 1 }, contextFor(target))).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("is a link or no folder"),
  });
});
