#!/usr/bin/env node
// Keeps snapshots/*.json, what each operation costs, and the table in README.md made from them.
//
//   node tools/gas.mjs           runs the gas tests and records what they measured
//   node tools/gas.mjs --check   runs them and fails when an operation costs over 5 % more than
//                                recorded, is new or gone, or when README.md's table is another
//
// forge compares snapshots exactly or not at all, hence this.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { forge, root } from "./sources.mjs";

const TOLERANCE = 0.05;
const BEGIN = "<!-- gas: begin (tools/gas.mjs writes this) -->";
const END = "<!-- gas: end -->";

// What comparable operations of others cost, by what they publish. FVM's gas is another unit than the EVM's.
const BESIDE = [
  ["DrandBeacon.submit", "163 737: verifying a round of evmnet, storing nothing (randa-mu/bls-solidity@11af179a, `snapshots/BLS.json`)"],
  ["StorageRegistry.respond, 20 leaves of 1 TiB", "about 120 M of FVM's: PDPVerifier.provePossession, 64 GiB (FilOzone/pdp@20d18ce5, `docs/gas-benchmarks`)"],
  ["StorageRegistry.commit", "44 M of FVM's: PDPVerifier.addPieces, 64 GiB (the same)"],
  ["JobManager.createJob", "14.5 M of FVM's: FilecoinPay.createRail (FilOzone/filecoin-pay@2f0dd1c9, `docs/payments-gas-benchmarks.md`)"],
  ["PaymentManager.settleJob", "18.4 M of FVM's: FilecoinPay.settleRail (the same)"],
  ["PaymentManager.settleJob, with a swap", "123 144: Uniswap v4's simple swap alone (Uniswap/v4-core@23a477ae, `snapshots/PoolManagerTest.json`)"],
];

const check = process.argv.includes("--check");
const recordedDir = join(root, "snapshots");
const measuredDir = join(root, "out", "gas");
const readmePath = join(root, "README.md");

rmSync(measuredDir, { recursive: true, force: true });
forge(["test", "--match-test", "test_gas", "--quiet"]);

const measured = read(measuredDir);
if (measured.size === 0) throw new Error("the gas tests measured nothing");
const problems = check ? comparison(read(recordedDir)) : record();
problems.forEach((problem) => console.error(`gas: ${problem}`));
if (problems.length > 0) process.exitCode = 1;
else console.log(`gas: ${operations(measured).length} operations measured`);

function comparison(recorded) {
  const found = [];
  const before = new Map(operations(recorded));
  for (const [name, gas] of operations(measured)) {
    const was = before.get(name);
    before.delete(name);
    if (was === undefined) found.push(`${name} is not recorded`);
    else if (gas > was * (1 + TOLERANCE)) found.push(`${name} costs ${gas}, ${percent(gas, was)} over the ${was} recorded`);
    else if (gas < was * (1 - TOLERANCE)) console.log(`gas: ${name} costs ${gas} instead of ${was}: worth recording`);
  }
  for (const name of before.keys()) found.push(`${name} is recorded, but no test measures it`);
  if (found.length === 0 && readme(recorded) !== readFileSync(readmePath, "utf8")) found.push("README.md's table is not of these snapshots");
  if (found.length > 0) found.push("`node tools/gas.mjs` records them as they are now");
  return found;
}

function record() {
  mkdirSync(recordedDir, { recursive: true });
  readdirSync(recordedDir).forEach((file) => rmSync(join(recordedDir, file)));
  for (const [file, text] of measured) writeFileSync(join(recordedDir, file), text);
  writeFileSync(readmePath, readme(measured));
  return [];
}

/** File name → its text. */
function read(folder) {
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".json")).sort() : [];
  return new Map(files.map((file) => [file, `${readFileSync(join(folder, file), "utf8").trimEnd()}\n`]));
}

/** [operation, gas], by name. */
function operations(snapshots) {
  const all = [...snapshots.values()].flatMap((text) => Object.entries(JSON.parse(text)));
  return all.map(([name, gas]) => [name, Number(gas)]).sort(([left], [right]) => (left < right ? -1 : 1));
}

function readme(snapshots) {
  const text = readFileSync(readmePath, "utf8");
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`README.md has no place for the table: ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n\n${table(operations(snapshots))}\n${END}${after}`;
}

/** One row a contract, so that the table stays on the page. */
function table(rows) {
  const byContract = new Map();
  for (const [name, gas] of rows) {
    const [contract, ...operation] = name.split(".");
    const text = `${operation.join(".")} ${thousands(gas)}`;
    byContract.set(contract, [...(byContract.get(contract) ?? []), text]);
  }
  const lines = [...byContract].map(([contract, texts]) => `| ${contract} | ${texts.join(" · ")} |`);
  const gasOf = new Map(rows);
  const beside = BESIDE.filter(([name]) => gasOf.has(name)).map(([name, there]) => `| ${name} | ${thousands(gasOf.get(name))} | ${there} |`);
  const head = ["| contract | gas of each operation |", "|---|---|"];
  return [...head, ...lines, "", "| beside others | here | there, as published |", "|---|---|---|", ...beside, ""].join("\n");
}

function thousands(gas) {
  return gas.toLocaleString("en-US").replaceAll(",", " ");
}

function percent(gas, was) {
  return `${((gas / was - 1) * 100).toFixed(1)} %`;
}
