/** Row 68 as far as configuration, log and webhook reach: canaries in the environment, in files and in errors. */

import { inspect } from "node:util";

import { createLogger } from "../../src/log.ts";
import { type ConfigFolder, createConfigFolder } from "../support/config-file.ts";
import { alertBody, notificationBody, startWebhookServer } from "../support/webhook-server.ts";

const env = {
  ALERTMANAGER_TOKEN: "canary-alertmanager",
  ONCALL_TOKEN: "canary-oncall",
  DATABASE_URL: "postgres://paramedic:canary%2Fdatabase@db/paramedic",
  PATIENT_URL: "postgres://app:canary-patient@db/app",
};

const text = `
alertmanager: { tokens: [{ env: ALERTMANAGER_TOKEN }, { file: token }] }
api: { tokens: [{ name: cli, role: admin, secret: { env: ONCALL_TOKEN } }] }
targets: { app: { postgres: { url: { env: PATIENT_URL }, users: [app], databases: [app] } } }
`;

let files: ConfigFolder;

beforeEach(() => {
  files = createConfigFolder();
  files.write("token", "canary-from-file\n");
});

afterEach(() => files.remove());

test("no secret of the configuration is in the log, whatever is logged", async () => {
  const config = files.config(text, env);
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    secrets: config.secrets,
    destination: { write: (line) => void lines.push(line) },
  });
  log.info({ config, env }, inspect(config, { depth: 9 }));
  log.error({ err: new Error(`connect failed: ${env.DATABASE_URL} with canary/database`) }, "Cannot connect");

  const tokens = config.alertmanager.tokens.map((token) => token.reveal());
  const receive = () => Promise.reject(new Error(`refused ${env.PATIENT_URL} ${tokens[1]}`));
  const server = await startWebhookServer({ tokens, receive, log });
  const authorization = `Bearer ${tokens[1]}`;
  const answers = [
    await server.post(notificationBody([alertBody(1)]), { authorization }),
    await server.post(`{"canary-body`, { authorization }),
    await server.post(JSON.stringify({ version: "canary-version" }), { authorization }),
    await server.post("", { authorization: "Bearer canary-wrong" }),
  ];
  await server.close();

  expect(answers.map(({ status }) => status)).toEqual([503, 400, 422, 401]);
  expect(lines).toHaveLength(6);
  expect(lines.join("")).toContain("[secret]");
  expect(lines.join("")).not.toContain("canary");
  expect(answers.map((answer) => JSON.stringify([answer.text, answer.headers])).join("")).not.toContain("canary");
});

test("no secret is in the problems of a configuration", () => {
  const broken = text.replace("users: [app]", "users: []").replace("role: admin", "role: canary-literal");
  const weak = { ...env, ONCALL_TOKEN: "canary with spaces", DATABASE_URL: "mysql://u:canary@h" };
  const problems = files.problems(`${broken}prometheus: { url: 'http://u:canary@p' }`, weak);
  expect(problems).toHaveLength(5);
  expect(problems.join()).not.toContain("canary");
});
