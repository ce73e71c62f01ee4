import { isSecretName, redact, redactJson } from "../../src/actions/redact.ts";

test.each([
  ["secret PASSWORD=hunter2 end", "hunter2"],
  ["DB_PASSWORD = 'hun ter2' end", "ter2"],
  ['{"password": "hun\\"ter2", "user": "end"}', "ter2"],
  ["api_key: hunter2, end", "hunter2"],
  ["x-api-key=>hunter2 end", "hunter2"],
  ["GET /?access_token=hunter2&page=2 end", "hunter2"],
  ["Authorization: Bearer hunter2.abc end", "hunter2"],
  ["authorization=Basic aHVudGVyMg== end", "aHVudGVyMg"],
  ["sent bearer hunter2hunter2 end", "hunter2"],
  ["connecting to postgres://app:hunter2@db/x end", "hunter2"],
  ["redis://:hunt@er2@cache end", "er2"],
  ["started with --password hunter2 end", "hunter2"],
  ["SECRET_KEY='hunter2' end", "hunter2"],
  ["Set-Cookie: hunter2; end", "hunter2"],
  ["jwt eyJhbGciOi.eyJzdWIiOi.hunter2 end", "hunter2"],
  ["AKIAIOSFODNN7EXAMPLE end", "AKIAIOSFODNN7EXAMPLE"],
  ["ghp_hunter2hunter2hunter2 end", "hunter2"],
  ["xoxb-hunter2-hunter2 end", "hunter2"],
  ["-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nend", "hunter2"],
])("%j keeps all but its secret", (text, secret) => {
  const left = redact(text);
  expect(left).not.toContain(secret);
  expect(left).toContain("[redacted]");
  expect(left).toContain("end");
});

test.each(["passed: 12 tests", "mapping=1", "GET /health 200", "user@example.net logged in", "session started"])(
  "%j stays as it is",
  (text) => expect(redact(text)).toBe(text),
);

test("hostile text does not make it slow", () => {
  const started = performance.now();
  for (const piece of ["a-", "pass", "token ", "://a", "bearer ", "-----BEGIN PRIVATE KEY-----", '"\\', "eyJaaaaaa."]) {
    redact(piece.repeat(Math.ceil(4_000 / piece.length)));
  }
  expect(performance.now() - started).toBeLessThan(500);
});

test("names of variables tell secrets", () => {
  expect(["DB_PASSWORD", "SECRET_KEY", "API_KEY"].filter((name) => !isSecretName(name))).toEqual([]);
  expect(isSecretName("CACHE_TIMEOUT")).toBe(false);
});

test("in JSON, text under a name that says so is removed, and so is what looks like a secret anywhere", () => {
  expect(
    redactJson({
      database: { PASSWORD: "hunter22", name: "shop", port: 5432 },
      headers: { authorization: "Basic aGVsbG86d29ybGQ=" },
      tokens: ["one", "two"],
      token_count: 7,
      urls: ["postgres://shop:hunter22@db/shop"],
      none: null,
      empty: { secret: "" },
    }),
  ).toEqual({
    database: { PASSWORD: "[redacted]", name: "shop", port: 5432 },
    headers: { authorization: "[redacted]" },
    tokens: ["[redacted]", "[redacted]"],
    token_count: 7,
    urls: ["postgres://[redacted]@db/shop"],
    none: null,
    empty: { secret: "" },
  });
});
