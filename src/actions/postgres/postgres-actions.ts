/** The explicit list of what Paramedic can do with a Postgres. */

import type { Action } from "../../domain/action.ts";
import { activity } from "./activity.ts";
import { cancelQueries } from "./cancel-queries.ts";
import { explain } from "./explain.ts";
import { invalidIndexes } from "./invalid-indexes.ts";
import { missingIndexes } from "./missing-indexes.ts";
import { slowQueries } from "./slow-queries.ts";
import { tableSizes } from "./table-sizes.ts";

export const postgresActions: readonly Action[] = [
  activity,
  slowQueries,
  missingIndexes,
  tableSizes,
  invalidIndexes,
  explain,
  cancelQueries,
];
