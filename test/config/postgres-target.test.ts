import { type ConfigFolder, createConfigFolder, minimal } from "../support/config-file.ts";

let files: ConfigFolder;

beforeAll(() => {
  files = createConfigFolder();
});

afterAll(() => files.remove());

const env = { DB: "postgres://u:p4ssphrase@h/d" };
const target = (more: string) =>
  `${minimal}targets: { a: { postgres: { url: { env: DB }, users: [u], databases: [d]${more} } } }`;

test("everything that may be said about a target's database reaches the target", () => {
  const more =
    ", schemas: [public, Sales], maintenance: ['Sun 02:00-05:00 Europe/Berlin'], dataFolder: /var/lib/postgresql, " +
    "minFreeMiB: 2048, maxReplicationLag: 10s, backupFolder: /backups, binDir: /usr/lib/postgresql/16/bin";
  expect(files.config(target(more), env).targets[0]?.postgres).toEqual({
    url: env.DB,
    users: ["u"],
    databases: ["d"],
    schemas: ["public", "Sales"],
    maintenance: [{ text: "Sun 02:00-05:00 Europe/Berlin", days: [0], from: 120, to: 300, timeZone: "Europe/Berlin" }],
    dataFolder: "/var/lib/postgresql",
    minFreeMiB: 2048,
    maxReplicationLagMs: 10_000,
    backupFolder: "/backups",
    binDir: "/usr/lib/postgresql/16/bin",
  });
});

test("what is left out is left out", () => {
  expect(files.config(target(""), env).targets[0]?.postgres).toEqual({ url: env.DB, users: ["u"], databases: ["d"] });
});

test.each([
  ["schemas: []", "schemas: must not be empty"],
  ["schemas: ['*']", "schemas[0]: must be an exact name"],
  ["schemas: [pg_catalog]", "schemas[0]: must not be a schema of the system"],
  ["schemas: [information_schema]", "schemas[0]: must not be a schema of the system"],
  ["maintenance: []", "maintenance: must not be empty"],
  ["maintenance: always", "maintenance: must be a list"],
  ["maintenance: [Sunday]", "maintenance[0]: must be a window such as Sun 02:00-05:00 Europe/Berlin"],
  ["dataFolder: data", "dataFolder: must be an absolute path"],
  ["backupFolder: /backups/../etc", "backupFolder: must be an absolute path"],
  ["binDir: bin", "binDir: must be an absolute path"],
  ["minFreeMiB: -1", "minFreeMiB: must be a whole number"],
  ["maxReplicationLag: 10", "maxReplicationLag: must be a duration"],
])("%s is refused", (more, words) => {
  expect(files.problems(target(`, ${more}`), env).join("\n")).toContain(words);
});
