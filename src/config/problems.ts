/** Problems of a YAML file, told with the line at which somebody has to change something. */

import type { Document, LineCounter, Node } from "yaml";
import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { ZodError } from "zod";

/** One thing that is wrong. `line` counts from 1; null where the problem is not in a file. */
export interface Problem {
  /** The file as it was named to us, or `environment`. */
  readonly file: string;
  readonly line: number | null;
  readonly message: string;
}

/** `file:line: message`, as editors and CI systems understand it. */
export function formatProblem(problem: Problem): string {
  return problem.line === null
    ? `${problem.file}: ${problem.message}`
    : `${problem.file}:${problem.line}: ${problem.message}`;
}

/** A message about what stands at a path of the document. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Turns findings into problems with lines, in the order of the file. */
export function locate(
  file: string,
  document: Document,
  lines: LineCounter,
  findings: readonly Finding[],
): readonly Problem[] {
  return findings
    .map(({ path, message }) => ({
      file,
      line: lineOf(document, lines, path),
      message: path.length === 0 ? message : `${pathText(path)}: ${message}`,
    }))
    .sort((a, b) => a.line - b.line);
}

/** What zod found, one finding for each unknown key and each value at fault. */
export function findingsOf(error: ZodError): readonly Finding[] {
  return error.issues.flatMap((issue): readonly Finding[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        message: "is not a setting; remove or correct it",
      }));
    }
    if (issue.code === "invalid_key") {
      return [{ path: issue.path, message: issue.issues.map((inner) => inner.message).join("; ") }];
    }
    if (issue.code === "invalid_type" && issue.input === undefined && issue.message.includes("received undefined")) {
      return [{ path: issue.path, message: "is missing" }];
    }
    return [{ path: issue.path, message: issue.message }];
  });
}

/** The line of the key or item at a path; of what encloses it where it is missing. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : String(key)) === String(segment));
      if (!pair) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof segment === "number") {
      node = node.items[segment];
      offset = startOf(node) ?? offset;
    } else {
      break;
    }
  }
  return Math.max(1, lines.linePos(offset).line);
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((segment, index) =>
      typeof segment === "number" ? `[${segment}]` : `${index === 0 ? "" : "."}${String(segment)}`,
    )
    .join("");
}
