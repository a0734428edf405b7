#!/usr/bin/env node
// Stands in for a native `solc`: forge asks for the version and for standard JSON, and both
// are answered by the npm package, which is the same compiler built for WebAssembly.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");
// Paths and other options come along; the standard JSON already holds every source.
const options = process.argv.slice(2);

if (options.includes("--version")) {
  // forge reads the platform suffix of a native build.
  const version = solc.version().replace(/\.Emscripten\.clang$/, ".Linux.g++");
  process.stdout.write(`solc\nVersion: ${version}\n`);
} else if (options.includes("--standard-json")) {
  const input = JSON.parse(readFileSync(0, "utf8"));
  freeStackSlots(input.settings.optimizer);
  process.stdout.write(solc.compile(JSON.stringify(input)));
} else {
  process.stderr.write(`solc.mjs: neither --version nor --standard-json: ${options.join(" ")}\n`);
  process.exitCode = 64;
}

/** `forge coverage` switches the optimizer off. OpenZeppelin's P256 then has more variables than the
 * stack has slots within reach; so the one optimization stays on that frees slots and moves no code. */
function freeStackSlots(optimizer) {
  if (optimizer.enabled) return;
  optimizer.details = { yul: true, yulDetails: { stackAllocation: true, optimizerSteps: ":" } };
}
