// Puts the SQL migrations beside the compiled store, in dist/ or in the folder given: tsc copies only what it compiles.
import { cpSync } from "node:fs";

const [, , output = "dist"] = process.argv;
cpSync("src/store/migrations", `${output}/store/migrations`, { recursive: true });
