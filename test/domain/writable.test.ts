import fc from "fast-check";
import { isWritable, storable, storableText } from "../../src/domain/writable.ts";

test("only a NUL and half a pair are replaced, in names too, and what only looks like an escape stays", () => {
  const foreign = { "a\u0000": ["b\ud83d", "\\u0000", "\\\u0000", "é 😀 \u0001\n"], "\udc00": null };
  const stored = { "a\ufffd": ["b\ufffd", "\\u0000", "\\\ufffd", "é 😀 \u0001\n"], "\ufffd": null };
  expect(storable(foreign)).toEqual(stored);
  expect(JSON.parse(storableText(foreign))).toEqual(stored);
});

test("what needs no change is the same value, whatever it is", () => {
  const fine = { at: new Date(0), text: "fine" };
  expect(storable(fine)).toBe(fine);
  expect(storable(undefined)).toBeUndefined();
});

test("strings of any kind become what can be stored, once", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }),
      (text) => {
        expect(storable(text)).toBe(text.toWellFormed().replaceAll("\u0000", "\ufffd"));
      },
    ),
  );
});

test("a person may write tabs and line feeds and no other control characters", () => {
  expect(["a\tb\nc", "é 😀"].every(isWritable)).toBe(true);
  expect(["\u0000", "\r", "\u007f", "\ud83d"].some(isWritable)).toBe(false);
});
