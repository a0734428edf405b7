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
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  process.stderr.write(`solc.mjs: neither --version nor --standard-json: ${options.join(" ")}\n`);
  process.exitCode = 64;
}
