/**
 * RestartUnit and its result. The call only queues a restart; its result comes as a signal, which any local process could
 * forge: it is believed only from the bus name that systemd itself owns.
 */

import type { Bus, BusSignal, Trouble } from "./bus.ts";
import { callSystemd, systemdInterface, systemdName, systemdPath } from "./unit.ts";

const daemon = "org.freedesktop.DBus";
const daemonPath = "/org/freedesktop/DBus";
/** What systemd queued for others is never replaced; the one mode that polkit cannot check is fixed here. */
const mode = "fail";
/** The longest that a stop and a start may take together. systemd goes on by itself after that. */
const resultWithinMs = 15 * 60_000;

/**
 * How a restart went. `not-asked`: systemd was not asked or refused, and nothing was changed. `ended`: systemd's own word
 * for how it ended: `done`, `canceled`, `timeout`, `failed`, `dependency` or `skipped`. `unknown`: it was asked.
 */
export type Restarted =
  | { readonly kind: "not-asked"; readonly trouble: Trouble }
  | { readonly kind: "ended"; readonly result: string }
  | { readonly kind: "unknown"; readonly trouble: Trouble };

/** Has systemd restart `unit` and waits for the result. */
export async function askRestart(bus: Bus, unit: string, signal: AbortSignal): Promise<Restarted> {
  const results = listenForResults(bus);
  // Both matches and the name's owner come before the call: the result may be sent before the call's own answer.
  const prepared = [
    await addMatch(bus, `type='signal',sender='${daemon}',member='NameOwnerChanged',arg0='${systemdName}'`),
    await addMatch(bus, `type='signal',sender='${systemdName}',path='${systemdPath}',member='JobRemoved'`),
    await callDaemon<string>(bus, "GetNameOwner", systemdName),
    await callSystemd<null>(bus, "Subscribe"),
  ];
  for (const step of prepared) if (!step.ok) return { kind: "not-asked", trouble: step.trouble };
  results.believe(String(prepared[2]?.ok && prepared[2].value));

  const asked = await callSystemd<string>(bus, "RestartUnit", "ss", [unit, mode]);
  if (!asked.ok) return { kind: asked.trouble.kind === "refused" ? "not-asked" : "unknown", trouble: asked.trouble };
  return await results.of(asked.value, signal);
}

function callDaemon<T>(bus: Bus, member: string, argument: string) {
  const call = { destination: daemon, path: daemonPath, interface: daemon, member };
  return bus.call<T>({ ...call, signature: "s", body: [argument] });
}

function addMatch(bus: Bus, rule: string) {
  return callDaemon<null>(bus, "AddMatch", rule);
}

interface Results {
  /** Names the one whose signals count. */
  believe(owner: string): void;
  /** The result of what was queued as `path`. */
  of(path: string, signal: AbortSignal): Promise<Restarted>;
}

function listenForResults(bus: Bus): Results {
  let owner = "";
  const seen = new Map<string, string>();
  const waiting = new Map<string, (restarted: Restarted) => void>();
  bus.onSignal((received) => {
    if (isOwnerChange(received) && received.body[2] !== owner) {
      // systemd was started anew or left the bus: what was queued may be done or forgotten.
      const trouble: Trouble = { kind: "lost", message: "systemd left the bus" };
      for (const tell of waiting.values()) tell({ kind: "unknown", trouble });
      return;
    }
    if (received.sender !== owner || received.path !== systemdPath) return;
    if (received.interface !== systemdInterface || received.member !== "JobRemoved") return;
    const [, path, , result] = received.body.map(String);
    if (path === undefined || result === undefined) return;
    seen.set(path, result);
    waiting.get(path)?.({ kind: "ended", result });
  });
  return {
    believe: (name) => {
      owner = name;
    },
    of: (path, signal) =>
      new Promise((resolve) => {
        const early = seen.get(path);
        if (early !== undefined) return resolve({ kind: "ended", result: early });
        const end = (restarted: Restarted) => {
          clearTimeout(timer);
          signal.removeEventListener("abort", stop);
          waiting.delete(path);
          resolve(restarted);
        };
        const stop = () => end({ kind: "unknown", trouble: { kind: "stopped", message: "stopped" } });
        const late: Trouble = { kind: "late", message: `not done after ${resultWithinMs / 60_000} minutes` };
        const timer = setTimeout(() => end({ kind: "unknown", trouble: late }), resultWithinMs);
        waiting.set(path, end);
        signal.addEventListener("abort", stop, { once: true });
        bus.onLost((trouble) => end({ kind: "unknown", trouble }));
        if (signal.aborted) stop();
      }),
  };
}

function isOwnerChange({ sender, interface: name, member, body }: BusSignal): boolean {
  return sender === daemon && name === daemon && member === "NameOwnerChanged" && body[0] === systemdName;
}
