import { type ConfigFolder, createConfigFolder, minimal } from "../support/config-file.ts";

let files: ConfigFolder;

beforeAll(() => {
  files = createConfigFolder();
});

afterAll(() => files.remove());

const target = (http: string) => files.config(`${minimal}targets:\n  shop:\n    http: ${http}\n`);

test("what may be sent is listed, alone or with the path that tells what became of it", () => {
  const { targets } = target(
    "{ baseUrl: http://app-server:8000, network: private, post: [/flush/, { path: /deploy, status: /deploys }] }",
  );
  expect(targets[0]?.http).toEqual({
    baseUrl: "http://app-server:8000",
    network: "private",
    post: [{ path: "/flush/" }, { path: "/deploy", statusPath: "/deploys" }],
  });
});

test.each([
  "http://app-server:8000",
  "http://127.0.0.1:8000",
  "http://10.0.0.1",
  "http://[::1]:8000",
  "http://localhost",
  "http://app.internal",
  "http://8.8.8.8",
])("%s says by itself where it is, so there is nothing to add", (baseUrl) => {
  expect(target(`{ baseUrl: '${baseUrl}' }`).warnings).toEqual([]);
});

test("a name that could stand for anything is worth a warning that says what to add", () => {
  const { warnings } = target("{ baseUrl: http://app.example.com }");
  expect(warnings.map(({ line, message }) => `${line}: ${message}`)).toEqual([
    expect.stringMatching(
      /^4: targets\.shop\.http\.baseUrl: only public addresses of app\.example\.com .* add network: private/,
    ),
  ]);
  for (const network of ["public", "private"]) {
    expect(target(`{ baseUrl: http://app.example.com, network: ${network} }`).warnings).toEqual([]);
  }
});
