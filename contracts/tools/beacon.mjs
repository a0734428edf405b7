#!/usr/bin/env node
// A beacon of our own for development chains: signs rounds as drand's evmnet does, with a key that
// everyone knows, and posts them to a DrandBeacon. Not for a chain on which anything is worth anything.
//
//   node tools/beacon.mjs key                       the public key, as DrandBeacon takes it
//   node tools/beacon.mjs sign ROUND...             signatures, one a line
//   node tools/beacon.mjs post BEACON ROUND...      posts rounds
//   node tools/beacon.mjs follow BEACON REGISTRY    posts the rounds that the registry's challenges
//                                                   wait for, each when it is due, until stopped
//   node tools/beacon.mjs vectors                   test/fixtures/beacon-development.json
//
// ALEPH_BEACON_SECRET is the secret key (hexadecimal), ALEPH_RPC_URL the node (an anvil, which signs
// for its first account).
import { bn254 } from "@noble/curves/bn254.js";
import { expand_message_xmd } from "@noble/curves/abstract/hash-to-curve.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { pathToFileURL } from "node:url";

const { Fp } = bn254.fields;
const G1 = bn254.G1.Point;
const G2 = bn254.G2.Point;
const DST = new TextEncoder().encode("BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_");
const DEVELOPMENT_SECRET = sha256(new TextEncoder().encode("aleph development beacon"));
const RPC_URL = process.env.ALEPH_RPC_URL ?? "http://127.0.0.1:8545";

/** The secret key of the environment, or the one of development chains. */
export function secretKey() {
  const text = process.env.ALEPH_BEACON_SECRET;
  return G1.Fn.create(BigInt(text ? `0x${text.replace(/^0x/, "")}` : toHex(DEVELOPMENT_SECRET)));
}

/** The public key: x and y of a point of G2, imaginary parts first. */
export function publicKey(secret) {
  const { x, y } = G2.BASE.multiply(secret).toAffine();
  return [x.c1, x.c0, y.c1, y.c0].map(word);
}

/** The signature of a round: x and y of a point of G1. */
export function sign(secret, round) {
  return encode(hashToPoint(roundMessage(round)).multiply(secret));
}

/** What the beacon signs: the hash of the round's number, 8 bytes, big-endian. */
export function roundMessage(round) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(round));
  return keccak_256(bytes);
}

/** RFC 9380's hash_to_curve. */
export function hashToPoint(message) {
  const bytes = expand_message_xmd(message, DST, 96, keccak_256);
  const elements = [bytes.subarray(0, 48), bytes.subarray(48)];
  const [a, b] = elements.map((element) => mapToPoint(Fp.create(BigInt(toHex(element)))));
  return a.add(b);
}

/** The map of Shallue and van de Woestijne as RFC 9380's section 6.6.1 defines it, with Z = 1. */
export function mapToPoint(u) {
  const curve = (x) => Fp.add(Fp.mul(Fp.sqr(x), x), 3n);
  const z = 1n;
  const square = Fp.mul(Fp.sqr(u), curve(z));
  const [minus, plus] = [Fp.sub(1n, square), Fp.add(1n, square)];
  const inverse = Fp.is0(Fp.mul(minus, plus)) ? 0n : Fp.inv(Fp.mul(minus, plus));
  const root = even(Fp.sqrt(Fp.neg(Fp.mul(curve(z), 3n))));
  const step = Fp.mul(Fp.mul(Fp.mul(u, minus), inverse), root);
  const middle = Fp.div(Fp.neg(z), 2n);
  const factor = Fp.neg(Fp.div(Fp.mul(4n, curve(z)), 3n));
  const third = Fp.add(z, Fp.mul(factor, Fp.sqr(Fp.mul(Fp.sqr(plus), inverse))));
  const x = [Fp.sub(middle, step), Fp.add(middle, step), third].find((x) => isSquare(curve(x)));
  const y = Fp.sqrt(curve(x));
  return G1.fromAffine({ x, y: (u & 1n) === (y & 1n) ? y : Fp.neg(y) });
}

function isSquare(value) {
  return Fp.is0(value) || Fp.pow(value, (Fp.ORDER - 1n) / 2n) === 1n;
}

function even(value) {
  return (value & 1n) === 0n ? value : Fp.neg(value);
}

function encode(point) {
  const { x, y } = point.toAffine();
  return word(x) + word(y).slice(2);
}

function word(value) {
  return `0x${value.toString(16).padStart(64, "0")}`;
}

function toHex(bytes) {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

// The chain.

function selector(signature) {
  return toHex(keccak_256(new TextEncoder().encode(signature)).subarray(0, 4));
}

const CHALLENGE_ISSUED = toHex(
  keccak_256(
    new TextEncoder().encode(
      "ChallengeIssued(uint256,bytes32,bytes32,uint64,address,uint32,uint8,uint128)",
    ),
  ),
);

async function rpc(method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const headers = { "content-type": "application/json" };
  const answer = await (await fetch(RPC_URL, { method: "POST", headers, body })).json();
  if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
  return answer.result;
}

async function post(beacon, secret, round) {
  const signature = sign(secret, round).slice(2);
  // submit(uint64,bytes): the round, where the bytes begin, how many they are, the bytes.
  const words = [round, 0x40, signature.length / 2].map((value) => word(BigInt(value)).slice(2));
  const data = selector("submit(uint64,bytes)") + words.join("") + signature;
  const [from] = await rpc("eth_accounts");
  return rpc("eth_sendTransaction", { from, to: beacon, data });
}

async function roundAt(beacon, timestamp) {
  const data = selector("roundAt(uint64)") + word(timestamp).slice(2);
  return BigInt(await rpc("eth_call", { to: beacon, data }, "latest"));
}

async function follow(beacon, registry, secret) {
  const waiting = new Set();
  for (let fromBlock = 0n; ; ) {
    const block = await rpc("eth_getBlockByNumber", "latest", false);
    if (BigInt(block.number) >= fromBlock) {
      const range = { fromBlock: `0x${fromBlock.toString(16)}`, toBlock: block.number };
      const logs = await rpc("eth_getLogs", { address: registry, topics: [CHALLENGE_ISSUED], ...range });
      logs.forEach((log) => waiting.add(BigInt(log.data.slice(0, 66))));
      fromBlock = BigInt(block.number) + 1n;
    }
    const notYetDue = await roundAt(beacon, BigInt(block.timestamp) + 1n);
    for (const round of [...waiting].filter((round) => round < notYetDue)) {
      console.log(`round ${round}: ${await post(beacon, secret, round)}`);
      waiting.delete(round);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** What the contract's tests compare with: rounds, and the map at its odd ends. */
function vectors(secret) {
  const half = Fp.inv(2n);
  const inputs = [0n, 1n, half, Fp.neg(half), Fp.ORDER - 1n, 2n, 3n, 4n, 5n, 6n, 7n];
  const point = (u) => mapToPoint(u).toAffine();
  return {
    source: "node tools/beacon.mjs vectors",
    publicKey: publicKey(secret),
    rounds: [1, 2, 255, 256, 65537].map((round) => ({ round, signature: sign(secret, round) })),
    map: inputs.map((u) => ({ u: word(u), x: word(point(u).x), y: word(point(u).y) })),
  };
}

async function main([command, ...args]) {
  const secret = secretKey();
  if (command === "key" && args.length === 0) {
    publicKey(secret).forEach((line) => console.log(line));
  } else if (command === "sign" && args.length > 0) {
    args.forEach((round) => console.log(sign(secret, round)));
  } else if (command === "post" && args.length > 1) {
    const [beacon, ...rounds] = args;
    for (const round of rounds) console.log(await post(beacon, secret, round));
  } else if (command === "follow" && args.length === 2) {
    await follow(...args, secret);
  } else if (command === "vectors" && args.length === 0) {
    console.log(JSON.stringify(vectors(secret), null, 2));
  } else {
    console.error(
      "usage: beacon.mjs key | sign ROUND... | post BEACON ROUND... | follow BEACON REGISTRY | vectors",
    );
    process.exitCode = 64;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2));
