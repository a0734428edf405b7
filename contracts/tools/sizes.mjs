#!/usr/bin/env node
// Fails when a contract of ours is larger than a chain takes; prints how much room each has left.
import { CODE_BYTES_MAX, CREATION_CODE_BYTES_MAX, contracts, forge, readArtifact } from "./sources.mjs";

forge(["build", "src", "--quiet"]);
let tooLarge = 0;
for (const name of contracts()) {
  const { bytecode, deployedBytecode } = readArtifact(name);
  const code = bytes(deployedBytecode);
  const creation = bytes(bytecode);
  const fits = code < CODE_BYTES_MAX && creation <= CREATION_CODE_BYTES_MAX;
  if (!fits) tooLarge++;
  const room = `${CODE_BYTES_MAX - code} left`;
  console.log(`${name.padEnd(24)} ${String(code).padStart(6)} bytes, ${room}${fits ? "" : "  TOO LARGE"}`);
}
if (tooLarge > 0) process.exitCode = 1;

function bytes({ object }) {
  return (object.length - 2) / 2;
}
