/** The explicit list of what Paramedic can do with a Postgres. */

import type { Action } from "../../domain/action.ts";
import { activity } from "./activity.ts";
import { analyze } from "./analyze.ts";
import { backup } from "./backup.ts";
import { cancelQueries } from "./cancel-queries.ts";
import { createIndex } from "./create-index.ts";
import { dropInvalidIndexes } from "./drop-invalid-indexes.ts";
import { explain } from "./explain.ts";
import { invalidIndexes } from "./invalid-indexes.ts";
import { missingIndexes } from "./missing-indexes.ts";
import { readOnly } from "./read-only.ts";
import { reindex } from "./reindex.ts";
import { restore } from "./restore.ts";
import { slowQueries } from "./slow-queries.ts";
import { tableSizes } from "./table-sizes.ts";
import { terminateSessions } from "./terminate-sessions.ts";
import { unusedIndexes } from "./unused-indexes.ts";
import { vacuum } from "./vacuum.ts";

export const postgresActions: readonly Action[] = [
  activity,
  slowQueries,
  missingIndexes,
  unusedIndexes,
  tableSizes,
  invalidIndexes,
  explain,
  cancelQueries,
  terminateSessions,
  analyze,
  vacuum,
  reindex,
  createIndex,
  dropInvalidIndexes,
  readOnly,
  backup,
  restore,
];
