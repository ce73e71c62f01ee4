/** Row 3: while the store is away both Alertmanagers of a pair are turned down; afterwards both deliver, and it is one run. */

import { newId } from "../../src/ids.ts";
import { createAccept } from "../../src/playbooks/accept.ts";
import { connect } from "../../src/store/connect.ts";
import { createReceive } from "../../src/store/receive.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { alertOf, createSpine, type Spine } from "../support/spine.ts";
import { until } from "../support/until.ts";

let postgres: TestPostgres;
let spine: Spine;

beforeAll(async () => {
  postgres = await startPostgres();
  spine = await createSpine({ url: postgres.url });
});

afterAll(async () => {
  await spine.close();
  await postgres.stop();
});

test("whoever was turned down comes again, at the same moment as its peer, and the alert is answered once", async () => {
  const alert = alertOf();
  const other = connect(postgres.url);
  const receive = createReceive(other, Date.now);
  const peer = createAccept({
    match: () => [],
    targets: [],
    store: (alerts) => receive(alerts),
    hint: () => {},
    newId,
    log: { warn: () => {} },
  });
  await postgres.stop();
  await expect(spine.fire(alert)).rejects.toThrow();
  await expect(peer({ alerts: [alert], truncated: 0 })).rejects.toThrow();
  await postgres.start();
  await until(() => spine.reads.ping().then(() => true), { what: "the store to be back" });

  const told = await Promise.all([spine.fire(alert), spine.fire(alert), spine.fire(alert)]);
  expect(told.flatMap(({ runs }) => runs).filter(({ created }) => created)).toHaveLength(1);
  expect(new Set(told.flatMap(({ runs }) => runs.map(({ id }) => id))).size).toBe(1);
  await peer({ alerts: [alert], truncated: 0 });
  const episodes = await spine.reads.episodes({ status: null, limit: 10, before: null });
  expect(episodes).toMatchObject([{ status: "firing", notifications: 4 }]);
  expect(await spine.settle(told[0]?.runs[0]?.id as string)).toMatchObject({ outcome: "fixed" });
  await other.close();
});
