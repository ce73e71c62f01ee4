/** What the connection pools do when the store ends their connections. */

import { connect, inTransaction } from "../../src/store/connect.ts";
import { sharedPostgres } from "../support/postgres.ts";

test("a connection that the server ends in the middle of a transaction rejects it and costs nothing else", async () => {
  const { url } = await sharedPostgres();
  const database = connect(url);
  const cut = inTransaction(database.pool, (client) => client.query("SELECT pg_terminate_backend(pg_backend_pid())"));
  await expect(cut).rejects.toThrow(/terminat/);
  const answer = await inTransaction(database.pool, (client) => client.query("SELECT 1 AS one"));
  expect(answer.rows).toEqual([{ one: 1 }]);
  await database.close();
});
