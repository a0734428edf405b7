#!/usr/bin/env node
// Writes abi/<Contract>.json: the ABI and creation bytecode that the Rust bindings compile from.
// They are in git so that building Rust needs no Solidity toolchain.
//
//   node tools/abi.mjs           builds the contracts and writes the files
//   node tools/abi.mjs --check   builds the contracts and fails if a file differs
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { contracts, forge, readArtifact, root } from "./sources.mjs";

const abiDir = join(root, "abi");
const check = process.argv.includes("--check");

forge(["build", "src", "--quiet"]);

mkdirSync(abiDir, { recursive: true });
const wanted = new Map(contracts().map((name) => [`${name}.json`, render(name)]));
const stale = readdirSync(abiDir).filter((file) => !wanted.has(file));
if (!check) stale.forEach((file) => rmSync(join(abiDir, file)));
for (const [file, text] of wanted) {
  const path = join(abiDir, file);
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  stale.push(file);
  if (!check) writeFileSync(path, text);
}

if (check && stale.length > 0) {
  console.error(`abi/ differs from the build: ${stale.join(", ")}. Run \`node tools/abi.mjs\`.`);
  process.exitCode = 1;
}

/** One ABI item per line, so that a change of the surface reads well in a diff. */
function render(name) {
  const artifact = readArtifact(name);
  const items = artifact.abi.map((item) => `    ${JSON.stringify(item)}`).join(",\n");
  const bytecode = JSON.stringify({ object: artifact.bytecode.object });
  return `{\n  "abi": [\n${items}\n  ],\n  "bytecode": ${bytecode}\n}\n`;
}
