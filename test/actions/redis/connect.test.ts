import { roundTrip } from "../../../src/actions/redis/round-trip.ts";
import type { Target } from "../../../src/domain/target.ts";
import { redisService } from "../../support/redis.ts";
import { bareTarget, canary, contextFor } from "../context.ts";
import { createRedisPatient, type RedisPatient } from "./patient.ts";

let patient: RedisPatient;

const look = (target: Target | null) => roundTrip.observe({}, contextFor(target));
const targetOf = (url: string): Target => ({ ...bareTarget, redis: { url, keyPatterns: ["tree:*"] } });

redisService.describe("talking to a target's Redis", () => {
  beforeAll(async () => {
    patient = await createRedisPatient(["tree:*"]);
    await patient.client.call("ACL", "SETUSER", "reader", "on", `>${canary}`, "~*", "+@read", "+@connection");
  });

  afterAll(() => patient?.stop());

  test.each([
    ["no target", () => null, "needs a target"],
    ["no Redis", () => bareTarget, "has no Redis. Add redis: to it"],
    ["no URL", () => targetOf(canary), "is no redis:// URL"],
    ["a wrong password", () => targetOf(`redis://:${canary}x@127.0.0.1:${patient.server.port}`), "refused the login"],
    ["no password", () => targetOf(`redis://127.0.0.1:${patient.server.port}`), "asks for a password"],
    ["no such database", () => targetOf(`redis://:${canary}@127.0.0.1:${patient.server.port}/99`), "no such database"],
    [
      "no right to write",
      () => targetOf(`redis://reader:${canary}@127.0.0.1:${patient.server.port}`),
      "permission denied",
    ],
    ["an unknown host", () => targetOf(`redis://:${canary}@redis.invalid:6379`), /was not found|cannot be reached/],
  ])("%s is a clear failure without the password", async (_, target, reason) => {
    const result = await look(target());
    expect(result).toMatchObject({ status: "failed", reason: expect.stringMatching(reason) });
    expect(JSON.stringify(result)).not.toContain(canary);
  });

  test("TLS with a server that speaks none is told as one that cannot be reached, without the password", async () => {
    const result = await look(targetOf(`rediss://:${canary}@127.0.0.1:${patient.server.port}`));
    expect(result).toMatchObject({
      output: { works: false, refusal: expect.stringMatching(/^cannot be reached: Redis of /) },
    });
    expect(JSON.stringify(result)).not.toContain(canary);
  });

  test("the database of the URL is used", async () => {
    const [other] = await Promise.all([look(targetOf(`redis://:${canary}@127.0.0.1:${patient.server.port}/3`))]);
    expect(other).toMatchObject({ status: "observed", output: { works: true } });
    expect(await patient.client.info("keyspace")).not.toContain("db0");
  });
});
