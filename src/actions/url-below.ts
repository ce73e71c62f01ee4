/** Joins a path from a playbook to a configured base URL so that nothing but a place below that base can come out. */

// RFC 3986: the characters of a path and a query, percent signs only as part of an encoded byte.
const allowed = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*$/;

/**
 * Whether `path` is an absolute path, with or without a query, that every server must understand as it stands: no
 * empty, `.` or `..` segments, no backslashes, controls or slashes in disguise, not even when it is decoded twice.
 */
export function isPlainPath(path: string): boolean {
  if (!allowed.test(path)) return false;
  const segments = (path.split("?")[0] as string).slice(1).split("/");
  return segments.every((segment, index) => {
    const last = index === segments.length - 1;
    return (segment !== "" || last) && isText(segment) && isPlainSegment(segment) && isPlainSegment(decode(segment));
  });
}

/** The URL of `path` below `base`, or null where `base` is no plain http(s) URL or the result would not be below it. */
export function urlBelow(base: string, path: string): URL | null {
  if (!URL.canParse(base) || !isPlainPath(path)) return null;
  const root = new URL(base);
  if (!/^https?:$/.test(root.protocol) || root.search !== "" || root.hash !== "") return null;
  const folder = root.pathname.replace(/\/$/, "");
  const url = new URL(root.href);
  const [pathname, ...query] = path.split("?");
  url.pathname = `${folder}${pathname}`;
  url.search = query.join("?");
  return url.origin === root.origin && url.pathname === `${folder}${pathname}` ? url : null;
}

/** Whether the encoded bytes are UTF-8: servers read other bytes in their own ways. */
function isText(segment: string): boolean {
  try {
    decodeURIComponent(segment);
    return true;
  } catch {
    return false;
  }
}

/** Some servers drop what follows a semicolon before they look for dots: `/..;/` is `/../` to them. */
function isPlainSegment(segment: string): boolean {
  const decoded = decode(segment);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return !/[/\\\u0000-\u001f\u007f]/.test(decoded) && !/^\.{1,2}(;|$)/.test(decoded);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // What was decoded once need not be encoded; the bytes that matter are decoded all the same.
    return text.replace(/%2e/gi, ".").replace(/%2f/gi, "/").replace(/%5c/gi, "\\");
  }
}
