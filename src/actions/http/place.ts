/** The HTTP server of a target and a path below its base URL. */

import type { ActionContext, Failure } from "../../domain/action.ts";
import type { HttpTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { urlBelow } from "../url-below.ts";

export interface Place {
  readonly http: HttpTarget;
  readonly url: URL;
}

/** Where `path` is at the context's target, or what has to be configured. */
export function placeBelow({ target }: ActionContext, path: string): Place | Failure {
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  if (!target.http) return lasting(`The target ${target.name} has no http: in paramedic.yaml. Add its baseUrl.`);
  const url = urlBelow(target.http.baseUrl, path);
  if (!url) return lasting(`The http.baseUrl of the target ${target.name} is no plain http(s) URL. Correct it.`);
  return { http: target.http, url };
}

/** The Failure that an answer which is no success means, where asking again does no harm. */
export function codeFailure(where: string, code: number): Failure {
  const mayPass = code >= 500 || code === 429 || code === 408;
  return (mayPass ? passing : lasting)(`${where} answered ${code}.`);
}
