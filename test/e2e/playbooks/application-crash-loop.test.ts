/** An application that does not stay up is noticed, and started without what breaks it once somebody agrees. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("application-crash-loop", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "application-crash-loop",
      hurry: [["activeSeconds > 60", "activeSeconds > 5"]],
      prepare: async ({ folder }) => {
        const file = join(folder, "manage.py");
        const crash =
          'if os.environ.get("MONITOR_QUERIES") != "false":\n    sys.exit("the monitoring of queries fails")\n\n';
        await writeFile(file, (await readFile(file, "utf8")).replace("if __name__", `${crash}if __name__`));
      },
    });
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
