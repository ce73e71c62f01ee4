/** The rollbacks that engineers ask for: the code to the version before, an app to an earlier migration; two people agree. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createRepository } from "../../actions/deploy/repository.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("code-rollback", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "code-rollback",
      prepare: async ({ folder }) => {
        const repository = await createRepository(folder);
        await repository.commit("one", { VERSION: "1" }, "v1");
        await repository.commit("two", { VERSION: "2" }, "v2");
        await repository.commit("three", { VERSION: "3" }, "v3");
      },
    });
  });
  afterAll(() => stack?.stop());

  test("one who agrees is not enough, two take the code back, and what is done by hand meanwhile refuses it", async () => {
    const tag = async () => await (await createRepository(stack.yt3.folder)).git("describe", "--tags", "--always");
    const run = await stack.request({});
    await stack.approve(run, ["U0LEAD"]);
    expect(await tag()).toBe("v3");
    await stack.approve(run, ["U0DEPUTY"]);
    expect(await stack.ended(run)).toMatchObject({ outcome: "fixed" });
    expect(await tag()).toBe("v2");
    await writeFile(join(stack.yt3.folder, "VERSION"), "by hand");
    expect(await stack.ended(await stack.request({ tag: "v1" }))).toMatchObject({ outcome: "failed" });
    expect(await tag()).toBe("v2");
  });
});

stackServices.describe("database-rollback", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "database-rollback" });
  });
  afterAll(() => stack?.stop());

  test("an app goes back to a named migration once two people agree, and stays where one declines", async () => {
    const newest = async () =>
      (await stack.sql("SELECT max(name) AS name FROM django_migrations WHERE app = 'core'"))[0];
    const declined = await stack.request({ app: "core", migration: "0002" });
    await stack.decline(declined);
    expect(await stack.ended(declined)).toMatchObject({ outcome: "declined" });
    expect(await newest()).toEqual({ name: "0003_ticket_status_priority" });
    const run = await stack.request({ app: "core", migration: "0002" });
    await stack.approve(run, ["U0LEAD", "U0DEPUTY"]);
    expect(await stack.ended(run)).toMatchObject({ outcome: "fixed" });
    expect(await newest()).toEqual({ name: "0002_ticket_priority" });
  });
});
