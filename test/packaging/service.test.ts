import { startSystemd, systemdService, type TestSystemd } from "../support/systemd.ts";
import { installPackaged, type Packaged } from "./packaged.ts";

systemdService.describe("packaging/paramedic.service", () => {
  let systemd: TestSystemd;
  let packaged: Packaged;

  beforeAll(async () => {
    systemd = await startSystemd();
    packaged = await installPackaged(systemd);
  });
  afterAll(() => systemd?.down());

  test("is hardened: systemd's own assessment finds little exposed", async () => {
    const { stdout } = await systemd.inside("systemd-analyze", "security", "--no-pager", "paramedic.service");
    expect(Number(/Overall exposure level[^:]*: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThan(2);
  });

  test("runs the program, which serves, migrates its database and stops in order", async () => {
    await packaged.start();
    await systemd.systemctl("stop", "paramedic.service");
    expect(await systemd.show("paramedic.service", "Result")).toBe("success");
    expect(await packaged.journal()).toContain("Paramedic has stopped");
  }, 90_000);
});
