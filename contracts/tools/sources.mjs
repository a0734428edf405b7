// What the tools share: where things are, and which contracts there are.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
export const require = createRequire(import.meta.url);

/** The most bytes of code that a chain takes (EIP-170), and of creation code (EIP-3860). */
export const CODE_BYTES_MAX = 24_576;
export const CREATION_CODE_BYTES_MAX = 49_152;

/** Runs forge, its words on our standard error; throws when it fails. */
export function forge(args, environment = {}) {
  execFileSync(tool("forge"), args, {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", 2, 2],
  });
}

/** Runs a tool of the npm packages and returns what it wrote. */
export function ask(name, args) {
  return execFileSync(tool(name), args, { cwd: root, encoding: "utf8" }).trim();
}

/** Runs forge and says how it ended instead of throwing. */
export function tryForge(args, { cwd = root, environment = {}, timeoutS = 1800 } = {}) {
  const run = spawnSync(tool("forge"), args, {
    cwd,
    env: { ...process.env, ...environment },
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: timeoutS * 1000,
  });
  return { succeeded: run.status === 0, words: `${run.stdout}${run.stderr}` };
}

/** The Solidity files of `src`, as the compiler names them. */
export function sourcePaths() {
  return readdirSync(join(root, "src"), { recursive: true })
    .filter((path) => path.endsWith(".sol"))
    .map((path) => `src/${path}`)
    .sort();
}

/**
 * The contracts that are deployed: each file directly in `src` holds the one of its name, or a
 * library or a base (then its code is not for deploying, and it is left out).
 */
export function contracts(out = "out") {
  return sourcePaths()
    .filter((path) => path.split("/").length === 2)
    .map((path) => path.slice("src/".length, -".sol".length))
    .filter((name) => {
      const artifact = readArtifact(name, out);
      return artifact !== undefined && artifact.bytecode.object.length > 2;
    });
}

export function readArtifact(name, out = "out") {
  const path = join(root, out, `${name}.sol`, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

/** The program itself: npm's launchers end with 0 even when it fails. */
function tool(name) {
  const packages = join(root, "node_modules", "@foundry-rs");
  const folder = readdirSync(packages).find((entry) => entry.startsWith(`${name}-`));
  return join(packages, folder, "bin", name);
}
