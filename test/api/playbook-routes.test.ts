import { type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.close());

test("what is loaded is listed by name, with hash and source", async () => {
  const { status, json } = await server.call("GET", "/api/v1/playbooks", { as: "screen" });
  expect(status).toBe(200);
  expect(json.playbooks.map(({ name, hash, source }: Record<string, string>) => [name, hash, source])).toEqual([
    ["fixed-ward", "sha256:fixed-ward", "name: fixed-ward\n"],
    ["heal-ward", "sha256:heal-ward", "name: heal-ward\n"],
    ["no-target", "sha256:no-target", "name: no-target\n"],
  ]);
});

test("one of them shows what it does and what starts it", async () => {
  const { json } = await server.call("GET", "/api/v1/playbooks/heal-ward", { as: "screen" });
  expect(json).toEqual({
    name: "heal-ward",
    summary: "Heal the ward.",
    hash: "sha256:heal-ward",
    on: { alerts: ['alertname="Sick"'], request: null },
    target: { label: "service" },
    steps: [
      { id: "look", action: "ward.look", kind: "observe", if: null },
      { id: "heal", action: "ward.heal", kind: "change", if: null, risk: "high", approval: "by-risk" },
    ],
    escalate: null,
    source: "name: heal-ward\n",
  });
});

test.each(["nonsense", "__proto__", "constructor", "..%2fheal-ward"])("%s is 404", async (name) => {
  const answer = await server.call("GET", `/api/v1/playbooks/${name}`);
  expect(answer.status).toBe(404);
  expect(answer.json.type).toMatch(/no-such-playbook$/);
});
