import fc from "fast-check";
import type { Labels } from "../../src/domain/alert.ts";
import { type Target, targetByLabel } from "../../src/domain/target.ts";

const target = (name: string, labels: Target["labels"]): Target => ({ name, host: null, labels });
const shop = target("shop", { service: ["shop", "checkout"], __proto: ["x"] });
const wiki = target("wiki", { service: ["wiki"], instance: ["10.0.0.2:9187"] });
const targets = [shop, wiki, target("unlabelled", {})];
const labels = (of: Record<string, unknown>): Labels => Object.assign(Object.create(null), of);

describe("targetByLabel", () => {
  test("finds the one target that has the value", () => {
    expect(targetByLabel(targets, "service", labels({ service: "shop" }))).toBe(shop);
    expect(targetByLabel(targets, "service", labels({ service: "checkout", instance: "10.0.0.2:9187" }))).toBe(shop);
    expect(targetByLabel(targets, "instance", labels({ instance: "10.0.0.2:9187" }))).toBe(wiki);
  });

  test.each([
    "",
    " ",
    "*",
    ".*",
    "%",
    "?",
    "shop ",
    "Shop",
    "shop,wiki",
    "shop\n",
    "sho",
    "null",
    "undefined",
    "all",
    "\u0000",
    "__proto__",
  ])("selects nothing for the value %j", (value) => {
    expect(targetByLabel(targets, "service", labels({ service: value }))).toBeNull();
  });

  test.each([[null], [undefined], [0], [false], [[]], [["shop"]], [{}]])(
    "selects nothing for the value %j, which is no text",
    (value) => {
      expect(targetByLabel(targets, "service", labels({ service: value }))).toBeNull();
    },
  );

  test("selects nothing where the alert does not have the label", () => {
    expect(targetByLabel(targets, "service", labels({}))).toBeNull();
    expect(targetByLabel(targets, "service", {})).toBeNull();
  });

  test("selects nothing where no target knows the label", () => {
    expect(targetByLabel(targets, "team", labels({ team: "shop" }))).toBeNull();
    expect(targetByLabel([], "service", labels({ service: "shop" }))).toBeNull();
  });

  test("selects nothing where two targets have the value", () => {
    expect(
      targetByLabel([shop, target("other", { service: ["shop"] })], "service", labels({ service: "shop" })),
    ).toBeNull();
  });

  test("selects nothing where a target lists no or an empty value", () => {
    const careless = [target("empty", { service: [""] }), target("none", { service: [] })];
    for (const value of ["", "*", "anything"]) {
      expect(targetByLabel(careless, "service", labels({ service: value }))).toBeNull();
    }
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"])(
    "is not led astray by the label name %s",
    (name) => {
      expect(targetByLabel(targets, name, labels({}))).toBeNull();
      expect(targetByLabel(targets, name, {})).toBeNull();
      expect(targetByLabel(targets, name, labels({ [name]: "shop" }))).toBeNull();
    },
  );

  test("gives a target only for a value that it lists, whatever the label set", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), fc.string(), (of, name) => {
        const found = targetByLabel(targets, name, labels(of));
        if (found) expect(found.labels[name]).toContain(of[name]);
      }),
    );
  });
});
