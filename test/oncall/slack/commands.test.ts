import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type SlackHouse, startSlackHouse } from "../../support/slack-house.ts";
import { until } from "../../support/until.ts";

jest.setTimeout(60_000);

let house: SlackHouse;

beforeEach(async () => {
  house = await startSlackHouse();
});
afterEach(async () => {
  const bugs = house.lines.filter(({ message }) => message.includes("bug"));
  await house.stop();
  expect(bugs).toEqual([]);
});

/** What the user is answered. */
async function type(text: string, user: string): Promise<string> {
  const before = house.told(user).length;
  const sent = await house.slack.command(text, { user });
  expect([sent.status, sent.body]).toEqual([200, ""]);
  return until(() => house.told(user)[before], { what: `an answer to '${text}'` });
}

const runs = () =>
  house.store.reads.runs({ state: null, outcome: null, playbook: null, target: null, limit: 10, before: null });

test("run starts a playbook in the caller's name, through the gate that REST uses", async () => {
  const said = await type('run heal-ward ward dose=2 note="two beds" it is cold', "U0SHIFT");
  const [run] = await runs();
  expect(said).toBe(
    `Started \`heal-ward\` on \`ward\` with \`dose=2\`, \`note=two beds\`: run \`${run?.id}\`. ` +
      `\`paramedic show ${run?.id}\` tells its story.`,
  );
  expect(run).toMatchObject({ playbook: "heal-ward", target: "ward", requestedBy: "slack:U0SHIFT" });
  expect(await house.events(run?.id as string)).toMatchObject([
    { type: "created", inputs: { dose: 2, note: "two beds" }, trigger: { by: "slack:U0SHIFT", reason: "it is cold" } },
  ]);
  expect(house.hinted).toEqual([run?.id]);
  expect(house.slack.ephemerals).toMatchObject([{ by: "response_url", user: "U0SHIFT" }]);
});

test("a request that is wrong starts nothing and says what is wrong", async () => {
  expect(await type("run heal-ward nowhere why", "U0SHIFT")).toContain("is not a configured target");
  expect(await type("run heal-ward ward dose=many why", "U0SHIFT")).toContain("`inputs.dose`");
  expect(await type("run heal-wards ward why", "U0SHIFT")).toContain("There are: `heal-ward`, `fixed-ward`.");
  expect(await type("run heal-ward ward", "U0SHIFT")).toContain("`/paramedic run heal-ward ward the page is slow`");
  expect(await runs()).toEqual([]);
});

test("approve decides the plan that waits, and shows it", async () => {
  const effects = Array.from({ length: 20 }, (_, bed) => `bed ${bed} gets <!channel> a \`blanket\``);
  const { run, approval } = await house.ask({ effects });
  const said = await type(`approve ${run.slice(0, 18)}`, "U0LEAD");
  expect(said).toMatch(/^You approved this:\n`heal-ward` on `ward`, run `/);
  expect(said).toContain("• `bed 0 gets &lt;!channel&gt; a 'blanket'`");
  expect(said).toContain("… and 5 more effects");
  expect(await house.approval(approval)).toMatchObject({ state: "approved", decisions: [{ by: "slack:U0LEAD" }] });
  expect(house.hinted).toContain(run);
});

test("decline needs a reason, which stands in the history", async () => {
  const { run, approval } = await house.ask();
  expect(await type(`decline ${run}`, "U0LEAD")).toContain(`\`/paramedic decline ${run} the backup is running\``);
  expect(await type(`decline ${run} the backup is running`, "U0LEAD")).toContain("You declined this:");
  expect(await house.approval(approval)).toMatchObject({
    state: "declined",
    decisions: [{ reason: "the backup is running" }],
  });
});

test("approving by command knows the same limits as the button, and its refusals stand in the history", async () => {
  const { run, approval } = await house.ask({ by: "slack:U0LEAD", approvers: ["dba"] });
  expect(await type(`approve ${run}`, "U0SHIFT")).toContain("Your role is operator");
  expect(await type(`approve ${run}`, "U0CHIEF")).toContain("You are not among the approvers `dba`");
  expect(await type(`approve ${run}`, "U0NOBODY")).toContain("You have no role");
  const own = await house.ask({ by: "slack:U0LEAD" });
  expect(await type(`approve ${own.run}`, "U0LEAD")).toContain("somebody else must approve");
  expect((await house.events(run)).filter(({ type }) => type === "answer-refused")).toMatchObject([
    { by: "slack:U0SHIFT" },
    { by: "slack:U0CHIEF" },
    { by: "slack:U0NOBODY", reason: "has the role none, and this needs approver" },
  ]);
  for (const id of [approval, own.approval]) expect((await house.approval(id)).state).toBe("pending");
});

test("somebody of another workspace decides nothing by command, and that they tried stands in the history", async () => {
  const { run, approval } = await house.ask();
  const fields = {
    command: "/paramedic",
    text: `approve ${run}`,
    user_id: "U0LEAD",
    team_id: "T0ELSEWHERE",
    channel_id: house.slack.ops,
    trigger_id: "1.2.4",
  };
  await house.slack.post(new URLSearchParams(fields).toString());
  await house.untilTold("U0LEAD", "Only people of the workspace");
  expect((await house.approval(approval)).state).toBe("pending");
  expect((await house.events(run)).filter(({ type }) => type === "answer-refused")).toMatchObject([
    { approval, by: "slack:U0LEAD", reason: "is from another workspace (T0ELSEWHERE)" },
  ]);
});

test("the beginning of an id must be that of one waiting run", async () => {
  const [one, other] = [await house.ask(), await house.ask()];
  const shared = [...one.run].findIndex((letter, at) => letter !== other.run[at]);
  const said = await type(`approve ${one.run.slice(0, shared)}`, "U0LEAD");
  expect(said).toContain("2 runs that begin so wait for approval");
  expect(said).toContain(one.run);
  expect(await type("approve ffffffff", "U0LEAD")).toContain("No run whose id begins with `ffffffff` waits");
  for (const { approval } of [one, other]) expect((await house.approval(approval)).state).toBe("pending");
});

test("pause and resume turn the kill switch, as an approver", async () => {
  expect(await type("pause 30m we move the database", "U0SHIFT")).toContain("Your role is operator");
  expect((await house.store.switches.read()).paused).toBe(false);
  expect(await type("pause", "U0LEAD")).toContain("`/paramedic pause 30m we move the database`");
  const before = Date.now();
  const said = await type("pause 30m we move the database", "U0LEAD");
  expect(said).toMatch(/^Automation is paused until <!date.*<@U0LEAD>: `we move the database`$/);
  const state = await house.store.switches.read();
  expect(state).toMatchObject({ paused: true, reason: "we move the database", by: "slack:U0LEAD" });
  expect(Date.parse(state.until as string) - before).toBeGreaterThanOrEqual(1_800_000);
  expect(await type("runs", "U0SCREEN")).toContain("Automation is paused");
  expect(await type("resume", "U0LEAD")).toBe("Automation is on.");
  expect(await house.store.switches.read()).toMatchObject({ paused: false, by: "slack:U0LEAD" });
});

test("runs lists the newest, with where they stand; help names commands and playbooks", async () => {
  const { run } = await house.ask();
  const said = await type("runs", "U0SCREEN");
  expect(said).toMatch(new RegExp(`^\`${run.slice(0, 13)}\` <!date.*: \`heal-ward\` on \`ward\`, waits for approval$`));
  const help = await type("", "U0SCREEN");
  for (const verb of ["runs", "run", "approve", "decline", "pause", "resume"])
    expect(help).toContain(`\`/paramedic ${verb}`);
  expect(help).toContain("• `heal-ward` (`dose`, `note`): `A playbook of the tests.`");
});

test.each(["runs", "help", "run heal-ward ward why", "pause why", "resume", "approve 0193ab", "whatever"])(
  "'%s' of somebody without a role is answered to them alone, and does nothing",
  async (text) => {
    expect(await type(text, "U0NOBODY")).toContain("You have no role");
    expect(await runs()).toEqual([]);
    expect((await house.store.switches.read()).paused).toBe(false);
    expect(house.slack.messages()).toEqual([]);
  },
);

test("what somebody types comes back as code, without a live mention or link", async () => {
  const said = await type("run `<!channel>` <https://example.com|ward> why", "U0SHIFT");
  expect(said).not.toMatch(/<!channel>|<https/);
  expect(said).toContain("&lt;!channel&gt;");
});

test("an answer goes to Slack's own hosts only; where that fails, beside the channel's messages", async () => {
  const paths: (string | undefined)[] = [];
  const stranger = createServer((request, response) => {
    paths.push(request.url);
    response.end("ok");
  });
  await new Promise<void>((listening) => stranger.listen(0, "127.0.0.1", listening));
  const { port } = stranger.address() as AddressInfo;
  const slack = new URL(house.slack.apiUrl);
  const fields = {
    command: "/paramedic",
    text: "runs",
    user_id: "U0SCREEN",
    team_id: house.slack.teamId,
    channel_id: house.slack.ops,
    trigger_id: "1.2.3",
  };
  const addresses = [
    `http://127.0.0.1:${port}/hook`,
    `http://${slack.host}@127.0.0.1:${port}/user`,
    `http://hooks.slack.com@127.0.0.1:${port}/user`,
    "file:///etc/passwd",
    "x",
    // Ours to ask, and it has no such answer.
    `${slack.origin}/actions/none`,
  ];
  try {
    for (const response_url of addresses) {
      const before = house.slack.ephemerals.length;
      await house.slack.post(new URLSearchParams({ ...fields, response_url }).toString());
      const said = await until(() => house.slack.ephemerals[before]);
      expect(said).toMatchObject({ by: "chat.postEphemeral", user: "U0SCREEN", text: "There are no runs yet." });
    }
    expect(paths).toEqual([]);
  } finally {
    stranger.close();
  }
});

test("a command that its process did not finish is not done later; its writer is told", async () => {
  const killed = await house.another({ setSwitch: () => new Promise(() => undefined) });
  await house.slack.command("pause we move", { user: "U0LEAD", to: killed.url });
  await house.store.sql("UPDATE paramedic.clicks SET received_at = now() - interval '1 minute'");
  await house.doors.sweep(new AbortController().signal);
  expect(await house.untilTold("U0LEAD", "was interrupted")).toContain("`/paramedic pause we move`");
  expect((await house.store.switches.read()).paused).toBe(false);
  expect(await house.store.sql("SELECT FROM paramedic.clicks WHERE handled_at IS NULL")).toEqual([]);
});

test("a store that is away is said", async () => {
  const away = async () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
  const { url } = await house.another({ keepClick: away, runs: away });
  for (const text of ["pause we move", "runs"]) {
    const before = house.told("U0LEAD").length;
    expect((await house.slack.command(text, { user: "U0LEAD", to: url })).status).toBe(200);
    expect(await until(() => house.told("U0LEAD")[before])).toContain("database cannot be used");
  }
  expect((await house.store.switches.read()).paused).toBe(false);
});
