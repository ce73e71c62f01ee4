/** What becomes of tests whose real service is not installed: they fail where CI=true and are skipped loudly elsewhere. */

import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether a service can be started here, and the `describe` for the tests that need it. */
export interface RealService {
  readonly available: boolean;
  /** Why it cannot be started, and what to do; null: it can. */
  readonly problem: string | null;
  readonly describe: (name: string, tests: () => void) => void;
}

/** Looks for `binary` in the PATH. `name` is what a person would install, as in "Redis (Debian: redis-server)". */
export function realService(name: string, binary: string): RealService {
  if (isInstalled(binary)) return serviceUnless(null);
  return serviceUnless(`${name} is not installed: there is no ${binary} in the PATH. Run scripts/test-deps.sh.`);
}

/** A service that is there where `problem` is null; otherwise `problem` is a sentence that says why not. */
export function serviceUnless(problem: string | null): RealService {
  // Looked up when it is called: a benchmark has none.
  if (problem === null) return { available: true, problem, describe: (title, tests) => describe(title, tests) };
  if (process.env["CI"] === "true") {
    return {
      available: false,
      problem,
      describe: (title) =>
        describe(title, () => {
          test("has the real service that it needs", () => {
            throw new Error(problem);
          });
        }),
    };
  }
  // Outside Jest, in a benchmark or the demo, nothing is skipped, and whoever asks says what `problem` says.
  if (typeof describe === "function") process.stderr.write(`\nSKIPPED: ${problem}\n`);
  return { available: false, problem, describe: (title, tests) => describe.skip(title, tests) };
}

/** Whether a program of this name can be started. */
export function isInstalled(binary: string): boolean {
  if (binary.startsWith("/")) return existsSync(binary);
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, binary), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
