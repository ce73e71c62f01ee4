/**
 * Row 52, the inputs: hostile values for every input of every action, as a careless playbook could hand them on. What
 * names something is refused; what is data stays data; none of it reaches an interpreter.
 */

import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { stringify } from "yaml";
import { createActions } from "../../src/actions/registry.ts";
import type { Action } from "../../src/domain/action.ts";
import { compilePlaybook } from "../../src/playbooks/load.ts";
import { contextFor } from "../actions/context.ts";
import { createHouse, type House, workingInputs } from "../actions/inputs/house.ts";
import { type Leaf, leavesOf, withAt } from "../actions/inputs/leaves.ts";
import { marker, payloads, traces } from "../support/payloads.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { redisService } from "../support/redis.ts";
import { liveMarkup } from "../support/slack-double-text.ts";
import { createSpine, type Spine } from "../support/spine.ts";
import { systemdService } from "../support/systemd.ts";
import { until } from "../support/until.ts";
import { djangoService } from "../support/youtility3.ts";

/** Inputs that are handed on as data, and so may be any text. Every other text names something. */
const data: readonly string[] = [
  "django.report arguments.{}",
  "http.post body",
  "logs.errors patterns.[]",
  "notify.send text",
  "report.send plots.[].title",
  "report.send points.[]",
  "report.send table.columns.[]",
  "report.send table.rows.[].[]",
  "systemd.set-environment variables.{}",
];
/** Names that select: one that nothing has is nothing to do. */
const selecting: readonly string[] = ["files.delete-old pattern"];
/** Inputs that are a language of their own, which only reads: whoever writes the playbook writes it. */
const languages: readonly string[] = ["prometheus.query query", "prometheus.range query"];

interface Place {
  readonly place: string;
  readonly action: Action;
  readonly leaf: Leaf;
}

const actions = createActions({ prometheusUrl: null });
const places = [...actions.values()].flatMap((action) =>
  leavesOf(action).map((leaf): Place => ({ place: `${action.name} ${leaf.path.join(".")}`, action, leaf })),
);
const isText = ({ leaf: { takes } }: Place) => takes === "text" || takes === "any";
const isData = ({ place }: Place) => data.includes(place) || languages.includes(place);
const names = places.filter((one) => isText(one) && !isData(one));
const free = places.filter((one) => isText(one) && isData(one));
const keys = places.filter(({ leaf }) => leaf.takes === "key");
const closed = places.filter(({ leaf }) => leaf.takes === "closed");

test("what is said to be data or a language is an input of the registry", () => {
  expect(free.map(({ place }) => place).sort()).toEqual([...data, ...languages].sort());
});

test.each(closed)("$place takes none of these", ({ action, leaf }) => {
  const inputs = workingInputs({ folder: "/srv/logs", queryId: "1", backup: "shop-0001" })[action.name] ?? [];
  const given = inputs.flatMap((input) => payloads.map((payload) => withAt(input, leaf, payload) ?? []));
  const tried = given.filter((input) => !Array.isArray(input));
  expect(tried.length).toBeGreaterThanOrEqual(payloads.length);
  expect(tried.filter((input) => action.input.safeParse(input).success)).toEqual([]);
});

const expression = (of: string) => `\${{ ${of} }}`;

/** A playbook that hands its input `value` on to this place of each working input that has it. */
function handingOn({ action, leaf }: Place, input: object, name: string, value = expression("inputs.value")): string {
  // What cannot be undone always asks; a run that comes to ask has planned something, which fails the test as well.
  const goesOn = action.kind === "change" && action.risk !== "irreversible";
  return stringify({
    name,
    summary: "Hand a value on.",
    on: { request: true, inputs: { value: { type: "string" } } },
    target: { label: "service" },
    steps: [{ id: "use", do: action.name, with: withAt(input, leaf, value), ...(goesOn && { approval: "never" }) }],
  });
}

const world = {
  actions,
  targets: [{ name: "ward", host: null, labels: { service: ["ward"] } }],
  policies: [],
  contacts: [],
  approvers: [],
  announces: false,
};

test.each([...names, ...free])("$place cannot be made of what stands in an alert", (one) => {
  const [input = {}] = workingInputs({ folder: "/srv/logs", queryId: "1", backup: "shop-0001" })[one.action.name] ?? [];
  for (const source of ["labels.instance", "annotations.summary", "target"]) {
    const compiled = compilePlaybook(handingOn(one, input, "hands-on", expression(source)), world);
    expect(JSON.stringify(compiled)).toMatch(/"ok":false.*cannot be used/);
  }
  expect(compilePlaybook(handingOn(one, input, "hands-on"), world)).toEqual(expect.objectContaining({ ok: true }));
});

const services = [systemdService, redisService, djangoService];

(services.find(({ available }) => !available) ?? systemdService).describe("handed on to real systems", () => {
  let house: House;
  let hands: Spine;
  let inputs: Readonly<Record<string, readonly object[]>>;

  beforeAll(async () => {
    const { house: built, made } = await createHouse();
    house = built;
    inputs = workingInputs(made);
    hands = await createSpine({
      url: (await sharedPostgres()).url,
      playbooks: [...names, ...free].flatMap((one) =>
        (inputs[one.action.name] ?? []).flatMap((input, index) =>
          withAt(input, one.leaf, "x") === null ? [] : [handingOn(one, input, nameOf(one, index))],
        ),
      ),
      actions: house.actions,
      targets: [house.target],
    });
  }, 120_000);

  afterAll(async () => {
    await hands?.close();
    await house?.stop();
  });

  const nameOf = ({ place }: Place, index: number) =>
    `hands-on-${places.findIndex((one) => one.place === place)}-${index}`;

  /** What became of a payload at this place, in each of the working inputs that have it. */
  async function handOn(one: Place, payload: string) {
    const given = (inputs[one.action.name] ?? []).map((input) => withAt(input, one.leaf, payload));
    const runs = [];
    for (const [index, input] of given.entries()) {
      if (input === null) continue;
      const run = await hands.request(nameOf(one, index), { inputs: { value: payload } });
      const { state, outcome } = await hands.settle(run);
      const events = (await hands.events(run)).map(({ type }) => type);
      runs.push({ payload, state, outcome, done: events.filter((type) => /^step-(started|observed)$/.test(type)) });
    }
    expect(runs.length).toBeGreaterThan(0);
    return runs;
  }

  test("every action has an input that works, with something at every place", async () => {
    expect(Object.keys(inputs).sort()).toEqual([...actions.keys()].sort());
    for (const { place, action, leaf } of places) {
      const filled = (inputs[action.name] ?? []).filter((input) => withAt(input, leaf, "x") !== null);
      expect({ place, filled: filled.length }).not.toEqual({ place, filled: 0 });
    }
  });

  test.each([...actions.keys()])("%s: what works, works", async (name) => {
    const action = house.actions.get(name) as Action;
    for (const input of inputs[name] ?? []) {
      const parsed = action.input.safeParse(input);
      if (!parsed.success) throw new Error(JSON.stringify(parsed.error.issues));
      const context = contextFor(house.target);
      const seen = action.kind === "observe" ? action.observe(parsed.data, context) : action.plan(parsed.data, context);
      expect(await seen).toMatchObject({ status: action.kind === "observe" ? "observed" : "planned" });
    }
  });

  test.each(names)(
    "$place: none of these becomes anything but a refusal",
    async (one) => {
      for (const payload of payloads) {
        for (const run of await handOn(one, payload)) {
          expect(run).toMatchObject({ state: "ended", done: [] });
          const empty = selecting.includes(one.place) ? ["nothing-to-do"] : [];
          expect(["failed", "refused", ...empty]).toContain(run.outcome);
        }
      }
    },
    90_000,
  );

  test.each(keys)("$place: no name in it but those that are allowed does anything", async ({ action, leaf }) => {
    const real = house.actions.get(action.name) as Action;
    for (const payload of payloads) {
      for (const input of inputs[action.name] ?? []) {
        const parsed = real.input.safeParse(withAt(input, leaf, payload));
        if (!parsed.success) continue;
        const context = contextFor(house.target);
        const seen = real.kind === "observe" ? real.observe(parsed.data, context) : real.plan(parsed.data, context);
        expect({ payload, ...(await seen) }).toMatchObject({ payload, status: "failed" });
      }
    }
  });

  /** The variable as the application itself has it. */
  async function modeOf(): Promise<{ readonly mode: string | undefined }> {
    const url = `http://127.0.0.1:${house.units.port}/environment`;
    const environment = await (await fetch(url, { headers: { connection: "close" } })).json();
    return { mode: (environment as { MODE?: string }).MODE };
  }

  test("systemd.set-environment variables.{}: what is accepted is the variable's value, to the letter", async () => {
    const place = free.find((one) => one.place === "systemd.set-environment variables.{}") as Place;
    for (const payload of payloads) {
      expect(await handOn(place, payload)).toMatchObject([{ state: "ended", done: ["step-started"] }]);
      await house.units.systemd.systemctl("restart", "app.service");
      expect(await until(modeOf, { what: "the application to answer" })).toEqual({ mode: payload });
    }
  }, 90_000);

  test("http.post body: what is accepted is JSON in a request to the path that is allowed", async () => {
    const place = free.find((one) => one.place === "http.post body") as Place;
    const before = house.requests.length;
    for (const payload of payloads) await handOn(place, payload);
    expect(new Set(house.requests.slice(before))).toEqual(new Set(["POST /hooks/warm"]));
    expect(house.bodies).toEqual(payloads.map((payload) => JSON.stringify(payload)));
  });

  test("notify.send text: what is said is text in which nothing is live", async () => {
    const place = free.find((one) => one.place === "notify.send text") as Place;
    for (const payload of payloads) await handOn(place, payload);
    expect(house.slack.messages().length).toBeGreaterThan(0);
    expect(house.slack.messages().flatMap(({ blocks }) => liveMarkup({ text: "", blocks }))).toEqual([]);
  });

  test.each(data.filter((place) => place.startsWith("report.send ")))(
    "%s: it is told to whom the playbook names, and to nobody else",
    async (name) => {
      const { leaf } = free.find(({ place }) => place === name) as Place;
      const action = house.actions.get("report.send");
      if (action?.kind !== "change") throw new Error("Nothing reports.");
      for (const payload of payloads) {
        const parsed = action.input.safeParse(withAt(inputs["report.send"]?.[0], leaf, payload));
        if (!parsed.success) continue;
        const planned = await action.plan(parsed.data, contextFor(house.target));
        if (planned.status !== "planned") throw new Error(`${JSON.stringify(payload)}: ${planned.reason}`);
        const outcome = await action.apply(planned.plan, contextFor(house.target));
        expect(outcome).toMatchObject({ status: "done", report: { contact: "people", ways: ["email"] } });
      }
    },
  );

  test.each(languages)("%s: it is one parameter of one request that reads", async (name) => {
    const place = free.find((one) => one.place === name) as Place;
    const before = house.requests.length;
    for (const payload of payloads) await handOn(place, payload);
    const asked = house.requests.slice(before).map((line) => new URL(line.replace(/^GET /, ""), "http://prometheus"));
    expect(asked.length).toBeGreaterThan(payloads.length / 2);
    for (const { origin, pathname, searchParams } of asked) {
      expect([origin, pathname]).toEqual(["http://prometheus", expect.stringMatching(/^\/api\/v1\/query(_range)?$/)]);
      expect(searchParams.getAll("query")).toHaveLength(1);
    }
  });

  test("logs.errors patterns.[]: they are compared, no more", async () => {
    const place = free.find((one) => one.place === "logs.errors patterns.[]") as Place;
    for (const payload of payloads) {
      for (const { state } of await handOn(place, payload)) expect(state).toBe("ended");
    }
  });

  test("django.report arguments.{}: they are passed on as values, no more", async () => {
    const { action, leaf } = free.find((one) => one.place === "django.report arguments.{}") as Place;
    const [input] = inputs[action.name] ?? [];
    const look = async (payload: string) => {
      const parsed = action.input.safeParse(withAt(input, leaf, payload));
      if (!parsed.success || action.kind !== "observe") throw new Error(`${JSON.stringify(payload)} is refused`);
      return action.observe(parsed.data, contextFor(house.target));
    };
    // Python takes its time to start.
    for (let next = 0; next < payloads.length; next += 4) {
      for (const seen of await Promise.all(payloads.slice(next, next + 4).map(look))) {
        expect(["observed", "failed"]).toContain(seen.status);
      }
    }
  }, 90_000);

  test("afterwards every system is as it was, and no interpreter has heard any of it", async () => {
    const { units, cache, folder, proxy } = house;
    expect(Object.keys(await cache.contents())).toHaveLength(20);
    expect((await readdir(folder)).sort()).toEqual(["a.log", "b.log"]);
    expect(await units.systemd.show("app.service", "ActiveState")).toBe("active");
    expect(existsSync(`/tmp/${marker}`)).toBe(false);
    const words = await house.told();
    expect(words.length).toBeGreaterThan(10);
    expect(words.filter((word) => word !== "" && payloads.includes(word))).toEqual([]);
    expect(words.filter((word) => traces.test(word))).toEqual([]);
    expect(proxy.statements.length).toBeGreaterThan(100);
    expect(proxy.statements.filter((text) => traces.test(text))).toEqual([]);
    const paths = house.requests.map((line) => line.replace(/\?.*/s, ""));
    expect([...new Set(paths)].sort()).toEqual([
      "GET /api/v1/query",
      "GET /api/v1/query_range",
      "GET /status",
      "POST /hooks/warm",
    ]);
  });
});
