/** A certificate for servers of the tests, made without any tool: it says localhost and 127.0.0.1 and vouches for itself. */

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

/** Makes one that is valid from yesterday to tomorrow. */
export function selfSignedCertificate(now = Date.now()): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const algorithm = sequence(hex("06082a8648ce3d040302")); // ecdsa-with-SHA256
  const name = sequence(element(0x31, sequence(hex("0603550403"), element(0x0c, Buffer.from("localhost")))));
  const authority = sequence(hex("0603551d13"), hex("0101ff"), element(0x04, sequence(hex("0101ff"))));
  const hosts = sequence(element(0x82, Buffer.from("localhost")), element(0x87, Buffer.from([127, 0, 0, 1])));
  const body = sequence(
    element(0xa0, hex("020102")), // version 3
    element(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    name,
    sequence(time(now - 86_400_000), time(now + 86_400_000)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    element(0xa3, sequence(authority, sequence(hex("0603551d11"), element(0x04, hosts)))),
  );
  const signature = element(0x03, Buffer.from([0]), sign("sha256", body, privateKey));
  const der = sequence(body, algorithm, signature);
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** One element of DER: its tag, its length, its contents. */
function element(tag: number, ...contents: readonly Buffer[]): Buffer {
  const inner = Buffer.concat(contents);
  const { length } = inner;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...head]), inner]);
}

function sequence(...contents: readonly Buffer[]): Buffer {
  return element(0x30, ...contents);
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  return element(0x18, Buffer.from(digits));
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex");
}
