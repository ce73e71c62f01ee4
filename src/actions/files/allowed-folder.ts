/** The folders of a target in which files may be looked at and deleted. */

import type { ActionContext, Failure } from "../../domain/action.ts";
import { lasting } from "../failure.ts";

/** The folders that the context's target lists, or what has to be configured. */
export function allowedFolders({ target }: ActionContext): { readonly folders: readonly string[] } | Failure {
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  const { files } = target;
  if (!files || files.folders.length === 0) {
    return lasting(`The target ${target.name} lists no folders: add files: { folders: […] } in paramedic.yaml.`);
  }
  // The configuration refuses it as well; whoever deletes asks twice.
  if (files.folders.some((folder) => !/^\/[^/]/.test(folder))) {
    return lasting(`The target ${target.name} lists / or a relative path in files.folders. Correct it.`);
  }
  return { folders: files.folders };
}

/** Null where the folder is one that the target lists. It may be hostile text: it is not repeated. */
export function notListed(folder: string, folders: readonly string[], target: string): Failure | null {
  if (folders.includes(folder)) return null;
  return lasting(`The target ${target} does not list this folder. Its files.folders: ${folders.join(", ")}.`);
}
