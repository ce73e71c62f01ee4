import fc from "fast-check";
import { isPlainPath, urlBelow } from "../../src/actions/url-below.ts";

test.each([
  ["http://app:8000", "/health/", "http://app:8000/health/"],
  ["http://app:8000/", "/health/?verbose=1&a=b/../c", "http://app:8000/health/?verbose=1&a=b/../c"],
  ["https://app/api/v1/", "/stats", "https://app/api/v1/stats"],
  ["http://app/api", "/", "http://app/api/"],
  ["http://app", "/a%20b/%C3%A9", "http://app/a%20b/%C3%A9"],
  ["http://app", "/@evil.example/x:y", "http://app/@evil.example/x:y"],
])("%s and %s make %s", (base, path, url) => {
  expect(urlBelow(base, path)?.href).toBe(url);
});

const hostilePaths = [
  "",
  "health",
  "//evil.example/x",
  "/a//b",
  "http://evil.example/",
  "/..",
  "/../admin",
  "/a/../../admin",
  "/a/./b",
  "/%2e%2e/admin",
  "/%2E./admin",
  "/.%2e/admin",
  "/%252e%252e/admin",
  "/..;/admin",
  "/..%3b/admin",
  "/a%2f..%2fadmin",
  "/a%5c..%5cadmin",
  "/a\\..\\admin",
  "/\\evil.example",
  "/a b",
  "/a\r\nHost: evil.example",
  "/a%0d%0aHost:%20evil",
  "/a%00",
  "/a#b",
  "/%",
  "/%zz",
  "/ä",
  "/\u202e",
  "/%ff%2e%2e/%2e%2e",
  "/$(id)/`id`",
  "/'; DROP TABLE t",
];

test.each(hostilePaths)("the path %j is refused", (path) => {
  expect(isPlainPath(path)).toBe(false);
  expect(urlBelow("http://app", path)).toBeNull();
});

test.each(["", "app:8000", "ftp://app", "file:///etc/passwd", "http://app/?q=1", "http://app/#x", "javascript:1"])(
  "the base %j is refused",
  (base) => {
    expect(urlBelow(base, "/health")).toBeNull();
  },
);

test("bytes that are no UTF-8 are refused", () => {
  expect(urlBelow("http://app:8000/base/", "/%80")).toBeNull();
  expect(urlBelow("http://app:8000/base/", "/100%25")?.pathname).toBe("/base/100%25");
});

test("whatever the path, the result is below the base or nothing", () => {
  const piece = fc.oneof(
    fc.constantFrom("/", "..", ".", "%2e", "%2f", "%5c", "\\", "//", ";", "?", "#", "@", ":", "a", "%25", "%0a"),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const url = urlBelow("http://app:8000/base/", `/${pieces.join("")}`);
      if (url === null) return;
      expect(url.origin).toBe("http://app:8000");
      expect(new URL(decodeURIComponent(url.pathname), "http://app:8000").pathname).toMatch(/^\/base\//);
    }),
    { numRuns: 2_000 },
  );
});
