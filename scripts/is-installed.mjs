// Exits with 0 when node_modules holds exactly what package-lock.json names, by npm's own record of what it installed.
import { readFileSync } from "node:fs";

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
  } catch {
    return {};
  }
}

const installed = packagesOf("node_modules/.package-lock.json");
const missing = Object.entries(packagesOf("package-lock.json")).filter(([path, wanted]) => {
  if (path === "" || wanted.link) return false;
  // Optional packages are those for other platforms.
  if (installed[path] === undefined) return !wanted.optional;
  return installed[path].version !== wanted.version || installed[path].integrity !== wanted.integrity;
});
process.exitCode = missing.length === 0 && Object.keys(installed).length > 0 ? 0 : 1;
