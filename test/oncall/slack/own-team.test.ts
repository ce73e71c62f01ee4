import type { Origin } from "../../../src/oncall/slack/click.ts";
import { whyOutsider } from "../../../src/oncall/slack/own-team.ts";

const from = (over: Partial<Origin>): Origin => ({
  user: "U1",
  userTeam: "T1",
  team: "T1",
  enterprise: null,
  app: "A1",
  channel: "C1",
  ts: "1.2",
  ...over,
});
const alone = { id: "T1", enterprise: null };
const inGrid = { id: "T1", enterprise: "E1" };

test.each([
  ["of the workspace", from({}), alone],
  ["whose payload names only the workspace", from({ userTeam: null }), alone],
  ["whose payload names only the person's workspace", from({ team: null }), alone],
  ["of the workspace, in a Grid", from({ enterprise: "E1" }), inGrid],
  ["whom Slack knows by the Grid", from({ userTeam: "E1", team: null, enterprise: "E1" }), inGrid],
])("somebody %s is ours", (_who, origin, own) => {
  expect(whyOutsider(origin, own)).toBeNull();
});

test.each([
  ["from elsewhere", from({ userTeam: "T2" }), alone, "another workspace (T2)"],
  ["who clicks elsewhere", from({ team: "T2" }), alone, "another workspace (T2)"],
  ["of another workspace of the Grid", from({ userTeam: "T2", enterprise: "E1" }), inGrid, "another workspace (T2)"],
  ["of another Grid", from({ enterprise: "E2" }), inGrid, "another organisation (E2)"],
  ["of a Grid, where we are in none", from({ enterprise: "E2" }), alone, "another organisation (E2)"],
  ["of no named workspace", from({ userTeam: null, team: null }), alone, "does not name"],
])("somebody %s is not ours", (_who, origin, own, why) => {
  expect(whyOutsider(origin, own)).toContain(why);
});
