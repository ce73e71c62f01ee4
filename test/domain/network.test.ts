import { BlockList, isIPv6 } from "node:net";
import fc from "fast-check";
import { isAddress, mayReach, type Reach, reachOf, reachOfHost } from "../../src/domain/network.ts";

test.each<[string, Reach]>([
  ["8.8.8.8", "public"],
  ["172.15.255.255", "public"],
  ["172.32.0.1", "public"],
  ["2a00:1450:4001:80b::200e", "public"],
  ["10.0.0.1", "private"],
  ["127.0.0.1", "private"],
  ["100.64.0.1", "private"],
  ["172.16.0.1", "private"],
  ["192.168.1.1", "private"],
  ["::1", "private"],
  ["fd12::1", "private"],
  ["::ffff:127.0.0.1", "private"],
  ["::ffff:a00:1", "private"],
  ["64:ff9b::10.0.0.1", "private"],
  ["2002:7f00:1::", "private"],
  ["169.254.1.1", "link-local"],
  ["fe80::1", "link-local"],
  ["fe80::1%eth0", "link-local"],
  ["169.254.169.254", "never"],
  ["::ffff:169.254.169.254", "never"],
  ["2002:a9fe:a9fe::1", "never"],
  ["64:ff9b::a9fe:a9fe", "never"],
  ["169.254.170.2", "never"],
  ["100.100.100.200", "never"],
  ["fd00:ec2::254", "never"],
  ["0.0.0.0", "never"],
  ["::", "never"],
  ["::127.0.0.1", "never"],
  ["255.255.255.255", "never"],
  ["224.0.0.1", "never"],
  ["ff02::1", "never"],
  ["2001::1", "never"],
  ["", "never"],
  ["1.2.3", "never"],
  ["1.2.3.256", "never"],
  ["1::2::3", "never"],
  ["1:2:3:4:5:6:7:8:9", "never"],
  ["app-server", "never"],
])("%s is %s", (address, reach) => {
  expect(reachOf(address)).toBe(reach);
});

test.each<[string, Reach]>([
  ["app-server", "private"],
  ["localhost", "private"],
  ["app.internal.", "private"],
  ["App.LAN", "private"],
  ["app.example.com", "public"],
  ["10.example.com", "public"],
  ["[::1]", "private"],
  ["127.0.0.1", "private"],
  ["[fe80::1]", "link-local"],
])("the host %s says that it is %s", (host, reach) => {
  expect(reachOfHost(host)).toBe(reach);
});

test("agrees with Node about which addresses are in a private block, however they are written", () => {
  const list = new BlockList();
  for (const [net, bits] of [
    ["10.0.0.0", 8],
    ["127.0.0.0", 8],
    ["172.16.0.0", 12],
    ["192.168.0.0", 16],
  ] as const) {
    list.addSubnet(net, bits);
  }
  for (const [net, bits] of [["fc00::", 7]] as const) list.addSubnet(net, bits, "ipv6");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6(),
        fc.ipV4().map((four) => `10.${four.split(".").slice(1).join(".")}`),
      ),
      (address) => {
        expect(isAddress(address)).toBe(true);
        const isPrivate = list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
        if (isPrivate) expect(["private", "never"]).toContain(reachOf(address));
      },
    ),
  );
});

test("each network includes those before it, and what is never allowed is in none", () => {
  const allowed = (["public", "private", "link-local"] as const).map((network) =>
    (["public", "private", "link-local", "never"] as const).filter((reach) => mayReach(network, reach)),
  );
  expect(allowed).toEqual([["public"], ["public", "private"], ["public", "private", "link-local"]]);
});
