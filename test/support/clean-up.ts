/** Lets a test say how to undo what it has just started, so that a failing test reports its failure and leaves nothing open. */

import { killServices } from "./service.ts";

/** Call it at the top of a file or a `describe`; what it returns takes what is to be done after the present test, last in, first out. */
export function cleaningUp(): (undo: () => unknown) => void {
  const undone: (() => unknown)[] = [];
  afterEach(async () => {
    await killServices();
    for (const undo of undone.splice(0).reverse()) await undo();
  });
  return (undo) => void undone.push(undo);
}
