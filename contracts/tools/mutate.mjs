#!/usr/bin/env node
// Shows that the tests can fail: makes each mutation of test/mutations/*.toml in a throw-away copy,
// runs the one test that must catch it, and fails when that test passes. Writes what caught what to
// test/mutations/RESULTS.md.
//
//   node tools/mutate.mjs                  every mutation
//   node tools/mutate.mjs StakingManager   those of test/mutations/StakingManager.toml, no file written
//
// A mutation:
//
//   [[mutation]]
//   file = "src/StakingManager.sol"
//   find = "account.matured -= amount - fromMaturing;"    # occurs once in the file
//   replace = ""
//   caught_by = "test/invariants/Network.t.sol :: invariant_every_token_is_accounted_for"
//
// What catches it is a function of forge tests, `test/symbolic/X.t.sol :: check_…` for halmos, or a
// tool: `tools/layout.mjs`, which is run with --check.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { root, tryForge } from "./sources.mjs";

const mutationsDir = join(root, "test", "mutations");
const only = process.argv.slice(2);
const SKIPPED = /^(node_modules|broadcast|out-|cache-)/;

const mutations = readdirSync(mutationsDir)
  .filter((file) => file.endsWith(".toml"))
  .filter((file) => only.length === 0 || only.includes(basename(file, ".toml")))
  .sort()
  .flatMap((file) => parse(join(mutationsDir, file)));
if (mutations.length === 0) throw new Error("there are no mutations");

const copy = mkdtempSync(join(tmpdir(), "aleph-mutations-"));
const rows = [];
try {
  for (const entry of readdirSync(root).filter((name) => !SKIPPED.test(name))) {
    cpSync(join(root, entry), join(copy, entry), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  for (const [i, mutation] of mutations.entries()) {
    const verdict = judge(mutation);
    rows.push({ ...mutation, ...verdict });
    const outcome = verdict.caught ? "caught" : "NOT CAUGHT";
    console.log(`${i + 1}/${mutations.length} ${outcome}: ${mutation.file}: ${oneLine(mutation.find)} → ${oneLine(mutation.replace)}`);
    if (!verdict.caught) console.log(`  ${mutation.caught_by}: ${verdict.words}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}

const survivors = rows.filter((row) => !row.caught);
if (only.length === 0 && survivors.length === 0) writeFileSync(join(mutationsDir, "RESULTS.md"), table());
console.log(`mutations: ${rows.length - survivors.length} of ${rows.length} caught`);
if (survivors.length > 0) process.exitCode = 1;

function parse(path) {
  const program = "import json,sys,tomllib; json.dump(tomllib.load(open(sys.argv[1],'rb')), sys.stdout)";
  const { mutation } = JSON.parse(execFileSync("python3", ["-c", program, path], { encoding: "utf8" }));
  return mutation;
}

function judge({ file, find, replace, caught_by }) {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  const places = original.split(find).length - 1;
  if (places !== 1) return { caught: false, words: `"${oneLine(find)}" is there ${places} times, not once` };
  writeFileSync(path, original.replace(find, () => replace));
  try {
    const [place, test] = caught_by.split("::").map((part) => part.trim());
    if (place.startsWith("tools/")) return byTool(place);
    return place.startsWith("test/symbolic/") ? byHalmos(test) : byForge(place, test);
  } finally {
    writeFileSync(path, original);
  }
}

function byForge(place, test) {
  const { words } = tryForge(["test", "--match-path", place, "--match-test", `^${test}$|^${test}\\(`, "--json"], { cwd: copy });
  const start = words.indexOf("{");
  let suites;
  try {
    suites = JSON.parse(words.slice(start).split("\n")[0]);
  } catch {
    return { caught: false, words: `does not compile: ${words.slice(0, 2000)}` };
  }
  const results = Object.values(suites).flatMap((suite) => Object.entries(suite.test_results));
  const named = results.filter(([signature]) => signature.startsWith(`${test}(`));
  const failed = named.find(([, result]) => result.status === "Failure");
  if (failed) return { caught: true, words: oneLine(failed[1].reason ?? "failed") };
  if (named.length > 0) return { caught: false, words: "passes all the same" };
  return { caught: false, words: `did not run: ${results.map(([name, result]) => `${name} ${result.reason}`).join(", ") || words.slice(0, 2000)}` };
}

function byHalmos(test) {
  const run = spawnSync("tools/halmos", ["--function", test], { cwd: copy, encoding: "utf8" });
  const failed = run.stdout.includes("[FAIL]") && run.stdout.includes("Counterexample");
  return { caught: failed, words: failed ? "counterexample" : `${run.stdout}${run.stderr}`.slice(-2000) };
}

function byTool(place) {
  const run = spawnSync("node", [place, "--check"], { cwd: copy, encoding: "utf8", env: { ...process.env, ALEPH_LAYOUT_BASE: "" } });
  const words = oneLine(run.stderr.split("\n")[0]);
  return { caught: run.status !== 0, words };
}

function table() {
  const lines = rows.map((row) => `| ${row.file} | ${code(row.find)} | ${code(row.replace)} | ${row.caught_by.replace("::", "<br>")} | ${cell(row.words)} |`);
  return [
    "# What the tests catch",
    "",
    "Each mutation was made by itself, and the test named beside it failed. `node tools/mutate.mjs` writes this.",
    "",
    "| file | instead of | there was | caught by | which said |",
    "|---|---|---|---|---|",
    ...lines,
    "",
  ].join("\n");
}

function oneLine(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

function code(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line === "" ? "nothing" : `\`${cell(line)}\``;
}

function cell(text) {
  return text.replaceAll("|", "\\|");
}
