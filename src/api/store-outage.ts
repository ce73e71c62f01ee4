/** Tells a store that cannot be used at the moment from a bug. */

// Classes 08, 53 and 57 of Postgres's SQLSTATE: the connection, its resources, an operator. The rest are the system's.
const codes =
  /^(08|53|57)[0-9A-Z]{3}$|^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH)$/;
// The Postgres client (pg 8) has no codes for these.
const messages =
  /^(timeout exceeded when trying to connect|Connection terminated|Query read timeout|Client has encountered a connection error|Cannot use a pool after calling end)/;

/** Whether `error` says that the store is away, starting, stopping or too busy: trying again later may help. */
export function isStoreOutage(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return (typeof code === "string" && codes.test(code)) || (typeof message === "string" && messages.test(message));
}
