/** Reads YAML within limits, and knows the line of everything in it. */

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from "yaml";

/** What is wrong, and where: the line counts from 1. */
export interface LineProblem {
  readonly line: number;
  readonly message: string;
}

export type YamlPath = readonly (string | number)[];

export type YamlSource =
  | { readonly ok: true; readonly value: unknown; lineOf(path: YamlPath): number }
  | { readonly ok: false; readonly problems: readonly LineProblem[] };

const longestText = 256 * 1024;
const mostAliases = 100;
const deepest = 64;
const mostFaults = 20;

/** Parses one YAML document. Duplicate keys, unknown tags, deep nesting and aliases that multiply are problems. */
export function readYaml(text: string): YamlSource {
  if (Buffer.byteLength(text) > longestText) return failed(1, "the file is larger than 256 KiB");
  const lines = new LineCounter();
  const lineAt = (offset: number) => lines.linePos(offset).line;
  try {
    // The library's own search for duplicate keys takes quadratic time.
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      stringKeys: true,
      uniqueKeys: false,
    });
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0) {
      const problems = faults.slice(0, mostFaults).map((fault) => ({
        line: lineAt(fault.pos[0]),
        message: sentenceOf(fault.code, fault.message),
      }));
      return { ok: false, problems };
    }
    const mistakes = mistakesIn(document);
    if (mistakes.length > 0) {
      const problems = mistakes.map(({ offset, message }) => ({ line: lineAt(offset), message }));
      return { ok: false, problems: problems.slice(0, mostFaults) };
    }
    const value: unknown = document.toJS({ maxAliasCount: mostAliases });
    if (isDeeperThan(value, deepest)) return failed(1, `nested more than ${deepest} levels deep`);
    return { ok: true, value, lineOf: (path) => lineAt(offsetOf(document, path)) };
  } catch (error) {
    return failed(1, `not YAML that can be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function failed(line: number, message: string): YamlSource {
  return { ok: false, problems: [{ line, message }] };
}

function sentenceOf(code: string, message: string): string {
  if (code === "MULTIPLE_DOCS") return "a file holds one playbook; this one has several documents";
  return `not valid YAML: ${message}`;
}

interface Mistake {
  readonly offset: number;
  readonly message: string;
}

/** What the parser does not look for: keys given twice, and aliases of nothing. */
function mistakesIn(document: Document.Parsed): readonly Mistake[] {
  const mistakes: Mistake[] = [];
  const anchors = new Set<string>();
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) {
        if (anchors.has(node.source)) return;
        const message = `not valid YAML: there is no anchor &${node.source} before this alias`;
        mistakes.push({ offset: startOf(node), message });
      } else if (node.anchor !== undefined) {
        anchors.add(node.anchor);
      }
    },
    Pair(_, pair) {
      if (isScalar(pair.key) && pair.key.anchor !== undefined) anchors.add(pair.key.anchor);
    },
  });
  visit(document, {
    Map(_, map) {
      const seen = new Set<string | null>();
      for (const pair of map.items) {
        const key = keyOf(pair);
        if (key !== null && seen.has(key)) {
          const message = `'${key}' is given twice in the same place`;
          mistakes.push({ offset: startOf(pair.key as Node | null), message });
        }
        seen.add(key);
      }
    },
  });
  return mistakes;
}

/** Stops at the limit, so that an alias inside what it names ends it too. */
function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeperThan(item, levels - 1));
}

/** Where the key or list item at the end of the path begins; of what is absent, where its parent begins. */
function offsetOf(document: Document.Parsed, path: YamlPath): number {
  let node: Node | null = document.contents;
  let offset = startOf(node);
  for (const part of path) {
    const container: Node | null | undefined = isAlias(node) ? node.resolve(document) : node;
    if (isMap(container)) {
      const pair: Pair<unknown, unknown> | undefined = container.items.find((item) => keyOf(item) === String(part));
      if (pair === undefined) return offset;
      offset = startOf(pair.key as Node | null);
      node = pair.value as Node | null;
    } else if (isSeq(container) && typeof part === "number" && part < container.items.length) {
      node = container.items[part] as Node | null;
      offset = startOf(node);
    } else {
      return offset;
    }
  }
  return offset;
}

function keyOf(pair: Pair): string | null {
  return isScalar(pair.key) ? String(pair.key.value) : null;
}

function startOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}
