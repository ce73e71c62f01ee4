/** Jest's Node environment, which also fails a test file that leaves a process, a connection or a server open. */

import { TestEnvironment } from "jest-environment-node";
import { CHILDREN, type Child } from "./process.ts";

const PATIENCE_MS = 10_000;

/** What a test file can leave behind; Node's names for what keeps a process alive, others, timers among them, come and go with Jest itself. */
const WATCHED = ["TCPSocketWrap", "TCPServerWrap", "PipeServerWrap", "UDPWrap", "ProcessWrap", "Worker"];

/** A class because Jest asks for one. */
// biome-ignore lint/style/noDefaultExport: Jest looks for the default export.
export default class LeakCheckingEnvironment extends TestEnvironment {
  private before: ReadonlyMap<string, number> = new Map();

  override async setup(): Promise<void> {
    await super.setup();
    this.before = openResources();
  }

  override async teardown(): Promise<void> {
    const children = [...((this.global as Record<symbol, Set<Child> | undefined>)[CHILDREN] ?? [])];
    const names = children.map((child) => `the process ${child.name} (${child.pid})`);
    await Promise.all(children.map((child) => child.kill()));
    const left = [...names, ...(await stillOpen(this.before))];
    await super.teardown();
    if (left.length > 0) {
      throw new Error(`This test file leaves open: ${left.join(", ")}. Stop or close what the tests start.`);
    }
  }
}

async function stillOpen(before: ReadonlyMap<string, number>): Promise<readonly string[]> {
  for (const deadline = performance.now() + PATIENCE_MS; ; ) {
    // Immediates are not watched, so that waiting is not itself seen as something left open.
    await new Promise((resolve) => setImmediate(resolve));
    const grown = [...openResources()].filter(([kind, count]) => count > (before.get(kind) ?? 0));
    if (grown.length === 0) return [];
    if (performance.now() > deadline) {
      return grown.map(([kind, count]) => `${count - (before.get(kind) ?? 0)} ${kind}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function openResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (WATCHED.includes(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
