// Puts the SQL migrations beside the compiled store: tsc copies only what it compiles.
import { cpSync } from "node:fs";

cpSync("src/store/migrations", "dist/store/migrations", { recursive: true });
