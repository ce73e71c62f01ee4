/** An application that does not stay up is noticed, and started without what breaks it once somebody agrees. */

import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["application-crash-loop"];

stackServices.describe("application-crash-loop", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "application-crash-loop", ...trouble.stack });
  });
  afterAll(() => stack?.stop());

  test("its journal is shown, and in safe mode it stays up", async () => {
    const run = await stack.noticed("ApplicationCrashLoop");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("fixed");
    const { lines } = resultOf(ended, "journal");
    expect(lines.map(({ message }: { message: string }) => message)).toContain("the monitoring of queries fails");
    expect((await stack.get("/monitoring/dashboard/")).body.monitor_queries).toBe(false);
  });
});
