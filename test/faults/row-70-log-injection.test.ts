import { createLogger } from "../../src/log.ts";

test.each([
  ["a line feed", '\n{"level":"error","msg":"forged"}'],
  ["a carriage return", "\rforged"],
  ["an ANSI colour", "\u001b[31mred\u001b[0m"],
  ["the one-byte ANSI introducer", "\u009b31mred"],
  ["a Unicode line separator", "\u2028forged\u2029"],
  ["text that runs backwards", "\u202egnp.exe\u2066"],
  ["a delete", "\u007f"],
  ["half a surrogate pair", "\ud800"],
  ["the end of the string", '","level":"fatal","x":"'],
])("%s in a field, a name or a message stays inside one JSON line", (_case, evil) => {
  const lines: string[] = [];
  const log = createLogger({ level: "info", secrets: [], destination: { write: (line) => void lines.push(line) } });
  log.warn({ label: evil, [evil]: 1, err: new Error(evil) }, evil);
  log.warn({ label: evil, token: "takes the line apart" }, evil);
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(line.trimEnd()).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+$/);
    expect(line.endsWith("}\n")).toBe(true);
    expect(JSON.parse(line)).toMatchObject({ level: "warn", label: evil, msg: evil });
  }
});
