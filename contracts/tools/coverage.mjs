#!/usr/bin/env node
// Reads a tracefile (lcov) and fails when the tests leave too much of src/ out.
//
//   node tools/coverage.mjs <tracefile>
import { readFileSync } from "node:fs";

const LINES_MIN = 0.99;
const BRANCHES_MIN = 0.95;

const total = { lines: [0, 0], branches: [0, 0] };
let file, lines, branches;
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  const [key, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)];
  if (key === "SF") [file, lines, branches] = [value, new Map(), new Map()];
  else if (key === "DA") {
    const [number, hits] = value.split(",").map(Number);
    lines.set(number, hits);
  } else if (key === "BRDA") {
    const [number, block, branch, hits] = value.split(",");
    branches.set(`${number}:${block}:${branch}`, hits === "-" ? 0 : Number(hits));
  } else if (line === "end_of_record" && file.startsWith("src/")) report();
}
console.log("");
const linesPass = summary("lines", total.lines, LINES_MIN);
const branchesPass = summary("branches", total.branches, BRANCHES_MIN);
if (!linesPass || !branchesPass) process.exitCode = 1;

function report() {
  add(total.lines, lines);
  add(total.branches, branches);
  console.log(`${file.padEnd(44)} lines ${share(count(lines))}  branches ${share(count(branches))}`);
  const missedLines = [...lines].filter(([, hits]) => hits === 0).map(([number]) => number);
  const missedBranches = [...branches].filter(([, hits]) => hits === 0).map(([branch]) => branch.split(":")[0]);
  if (missedLines.length > 0) console.log(`  lines never run: ${missedLines.join(" ")}`);
  if (missedBranches.length > 0) console.log(`  branches never taken, at: ${[...new Set(missedBranches)].join(" ")}`);
}

function add(sum, hits) {
  const [covered, all] = count(hits);
  sum[0] += covered;
  sum[1] += all;
}

function count(hits) {
  return [[...hits.values()].filter((hit) => hit > 0).length, hits.size];
}

function share([covered, all]) {
  const percent = all === 0 ? 100 : (100 * covered) / all;
  return `${percent.toFixed(2).padStart(6)} % (${covered}/${all})`.padEnd(22);
}

function summary(what, [covered, all], min) {
  const pass = all > 0 && covered / all >= min;
  console.log(`coverage of src/: ${what} ${share([covered, all])} ${pass ? "enough" : "TOO LITTLE"}, at least ${min * 100} %`);
  return pass;
}
