// Puts beside the compiled code, in dist/ or in the folder given, what tsc does not: SQL migrations and the Python file.
import { cpSync } from "node:fs";

const [, , output = "dist"] = process.argv;
for (const path of ["store/migrations", "actions/django/call.py"]) {
  cpSync(`src/${path}`, `${output}/${path}`, { recursive: true });
}
