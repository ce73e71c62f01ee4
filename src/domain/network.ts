/** Where an address or a host name leads, so that a request to a configured place never ends up in another network. */

/**
 * `public`: the internet. `private`: this machine and private networks. `link-local`: what only this machine's own link
 * has. `never`: where clouds serve credentials, multicast, and what is no address of one machine.
 */
export type Reach = "public" | "private" | "link-local" | "never";

/** How far requests may go: `private` includes what is public, `link-local` both. */
export type Network = Exclude<Reach, "never">;

type Block = readonly [reach: Reach, address: string, bits: number];

// IANA's registries of special-purpose addresses; the first that fits counts.
const blocks4: readonly Block[] = [
  // The metadata services of AWS, Azure, Google and others; of containers on AWS; of Alibaba.
  ["never", "169.254.169.254", 32],
  ["never", "169.254.170.0", 24],
  ["never", "100.100.100.200", 32],
  ["never", "0.0.0.0", 8],
  ["never", "224.0.0.0", 3],
  ["link-local", "169.254.0.0", 16],
  ["private", "10.0.0.0", 8],
  ["private", "100.64.0.0", 10],
  ["private", "127.0.0.0", 8],
  ["private", "172.16.0.0", 12],
  ["private", "192.0.0.0", 24],
  ["private", "192.168.0.0", 16],
  ["private", "198.18.0.0", 15],
];
const blocks6: readonly Block[] = [
  ["never", "fd00:ec2::254", 128],
  ["never", "fd20:ce::254", 128],
  ["private", "::1", 128],
  ["link-local", "fe80::", 10],
  ["private", "fc00::", 7],
  ["private", "fec0::", 10],
  ["private", "64:ff9b:1::", 48],
];
/** Prefixes behind which an IPv4 address stands, with the place of its first byte. */
const carriers: readonly (readonly [address: string, bits: number, at: number])[] = [
  ["::ffff:0:0", 96, 12],
  ["64:ff9b::", 96, 12],
  ["2002::", 16, 2],
];

/** Where an IPv4 or IPv6 address leads; `never` for text that is none. */
export function reachOf(address: string): Reach {
  const bytes = bytesOf(address);
  if (!bytes) return "never";
  if (bytes.length === 4) return blocks4.find((block) => isIn(bytes, block[1], block[2]))?.[0] ?? "public";
  const carrier = carriers.find(([prefix, bits]) => isIn(bytes, prefix, bits));
  if (carrier) return reachOf(bytes.slice(carrier[2], carrier[2] + 4).join("."));
  const block = blocks6.find(([, prefix, bits]) => isIn(bytes, prefix, bits));
  if (block) return block[0];
  // Only 2000::/3 is given out; 2001::/32 (Teredo) carries addresses in disguise.
  return isIn(bytes, "2000::", 3) && !isIn(bytes, "2001::", 32) ? "public" : "never";
}

/** Whether a host is written as an address; a URL's brackets may stand around it. */
export function isAddress(host: string): boolean {
  return bytesOf(bare(host)) !== null;
}

/** Where a host says by itself that it leads: an address by what it is, a name by its ending. */
export function reachOfHost(host: string): Reach {
  if (isAddress(host)) return reachOf(bare(host));
  const name = host.toLowerCase().replace(/\.$/, "");
  const isPrivate =
    !name.includes(".") || /\.(localhost|local|internal|intranet|private|corp|home|lan|test|home\.arpa)$/.test(name);
  return isPrivate ? "private" : "public";
}

/** Whether a request that may go as far as `network` may go to where `reach` is. */
export function mayReach(network: Network, reach: Reach): boolean {
  const order: readonly Reach[] = ["public", "private", "link-local"];
  return reach !== "never" && order.indexOf(reach) <= order.indexOf(network);
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function isIn(bytes: readonly number[], prefix: string, bits: number): boolean {
  const start = bytesOf(prefix) as readonly number[];
  return bytes.every((byte, index) => {
    const left = Math.min(8, Math.max(0, bits - index * 8));
    const mask = 256 - 2 ** (8 - left);
    return (byte & mask) === ((start[index] as number) & mask);
  });
}

/** Four bytes, sixteen, or null where the text is no address. A zone (`%eth0`) is left out. */
function bytesOf(address: string): readonly number[] | null {
  if (!address.includes(":")) return bytes4(address);
  const [text = ""] = address.split("%");
  const ending = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const four = ending ? bytes4(ending[2] as string) : [];
  if (!four) return null;
  const halves = (ending ? `${ending[1]}${hex(four, 0)}:${hex(four, 2)}` : text).split("::");
  if (halves.length > 2) return null;
  const [before = [], after = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - before.length - after.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...before, ...new Array<string>(missing).fill("0"), ...after];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
}

function bytes4(text: string): readonly number[] | null {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)
    ? parts.map(Number)
    : null;
}

function hex(bytes: readonly number[], at: number): string {
  return ((bytes[at] as number) * 256 + (bytes[at + 1] as number)).toString(16);
}
