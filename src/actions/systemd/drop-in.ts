/**
 * The drop-in file by which one environment variable of one service is set: its name, its text, and what its text says.
 * Only a text that this file could have written is understood, so that nobody else's work is ever replaced.
 */

import { join } from "node:path";

/** Until when a variable stays set. */
export type Until = "reboot" | "durable";

/** The folders in which systemd looks for drop-ins of either kind (systemd.unit(5)). */
export type UnitFolders = Readonly<Record<Until, string>>;

export const unitFolders: UnitFolders = { reboot: "/run/systemd/system", durable: "/etc/systemd/system" };

/** What a drop-in sets, and what it replaced, for undoing it after a crash. */
export interface DropIn {
  readonly value: string;
  /** The value that another drop-in of the same name had set before; null: there was none. */
  readonly before: string | null;
}

/**
 * Where the drop-in of a variable lives. Files are read in the order of their names, over all folders, and the last one
 * wins: "zz" comes after what people name theirs, and what goes with the next boot wins over what stays.
 */
export function dropInPath(folders: UnitFolders, unit: string, name: string, until: Until): string {
  return join(folders[until], `${unit}.d`, `zz-paramedic-${until === "durable" ? 50 : 60}-${name}.conf`);
}

const heading = "# Written by Paramedic (systemd.set-environment); do not edit.";

/** The text of the drop-in. */
export function dropInText(name: string, { value, before }: DropIn): string {
  const replaced = before === null ? "nothing" : quote(`${name}=${before}`);
  return `${heading}\n# It replaced: ${replaced}\n[Service]\nEnvironment=${quote(`${name}=${value}`)}\n`;
}

/** What a text sets; null where it is not exactly what `dropInText` writes. */
export function readDropIn(name: string, text: string): DropIn | null {
  const lines = text.split("\n");
  const value = assigned(name, lines[3], "Environment=");
  if (value === null) return null;
  const before = lines[1] === "# It replaced: nothing" ? null : assigned(name, lines[1], "# It replaced: ");
  const read = { value, before };
  return dropInText(name, read) === text ? read : null;
}

function assigned(name: string, line: string | undefined, prefix: string): string | null {
  if (!line?.startsWith(`${prefix}"${name}=`)) return null;
  return unquote(line.slice(prefix.length)).slice(name.length + 1);
}

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * An assignment as systemd reads it back exactly: in double quotes, with C's escapes, and percent signs doubled, since
 * `%h` and the like stand for something (systemd.syntax(7)). There is no way to write a NUL.
 */
export function quote(assignment: string): string {
  const escaped = assignment
    .replace(/[\\"]/g, (character) => `\\${character}`)
    .replace(/%/g, "%%")
    .replace(/[\n\r\t]/g, (character) => short[character] as string)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
    .replace(/[\u0001-\u001f\u007f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `"${escaped}"`;
}

const long: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

function unquote(quoted: string): string {
  return quoted.slice(1, -1).replace(/%%|\\x([0-9a-f]{2})|\\(.)/g, (all, hex: string | undefined, letter: string) => {
    if (all === "%%") return "%";
    return hex === undefined ? (long[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16));
  });
}
