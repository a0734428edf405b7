#!/usr/bin/env node
// Keeps layout/<Contract>.json: where each contract behind a proxy keeps what, by namespace.
//
//   node tools/layout.mjs             writes the files; refuses a change that an upgrade cannot survive
//   node tools/layout.mjs --break     the same, but takes such a change (before the first deployment)
//   node tools/layout.mjs --check     fails when a file differs from the build, or from git's version
//                                     (ALEPH_LAYOUT_BASE, by default HEAD) by more than additions
//
// The layout is the compiler's: OpenZeppelin's library injects a variable for each namespace's
// struct, and the compiler places it. Three judges then look at it: OpenZeppelin's checks of what is
// unsafe behind a proxy, OpenZeppelin's comparison with git's version, and a stricter one of ours, by
// which whatever has a place keeps name, type and place. OpenZeppelin's library does not compare the
// slot in the code with the namespace in the comment; here that is checked, too.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ask, require, root, sourcePaths } from "./sources.mjs";

const solc = require("solc");
const upgrades = require("@openzeppelin/upgrades-core");
const { findAll, astDereferencer } = require("solidity-ast/utils");

const check = process.argv.includes("--check");
const mayBreak = process.argv.includes("--break");
const base = process.env.ALEPH_LAYOUT_BASE ?? "HEAD";
const layoutDir = join(root, "layout");
const problems = [];
const slotsByNamespace = new Map();

const build = compile();
const layouts = layoutsOf(build);
problems.push(...slotProblems(build), ...(await safetyProblems(build)));
for (const [name, layout] of layouts) {
  const former = (check ? inGit(name) : undefined) ?? onDisk(name);
  if (former && !mayBreak) problems.push(...comparisonProblems(name, former, layout));
}
if (problems.length === 0) problems.push(...(check ? staleFiles() : writeFiles()));

problems.forEach((problem) => console.error(`layout: ${problem}`));
if (problems.length > 0) process.exitCode = 1;
else console.log(`layout: ${layouts.size} contracts, every namespace where it says, every change an addition`);

/** Compiles `src` as far as layouts need it: code generation would take ten times the time. */
function compile() {
  const sources = {};
  const read = (path) => {
    try {
      const contents = readFileSync(join(root, path), "utf8");
      sources[path] = { content: contents };
      return { contents };
    } catch (error) {
      return { error: String(error) };
    }
  };
  sourcePaths().forEach(read);
  const input = {
    language: "Solidity",
    sources,
    settings: {
      remappings: ["@openzeppelin/=node_modules/@openzeppelin/"],
      evmVersion: "cancun",
      outputSelection: { "*": { "": ["ast"], "*": ["storageLayout"] } },
    },
  };
  const output = run(input, read);
  // The library tells contracts apart by their code, which is not generated here.
  for (const [path, contracts] of Object.entries(output.contracts)) {
    for (const [name, contract] of Object.entries(contracts)) {
      const code = { object: Buffer.from(`${path}:${name}`).toString("hex"), linkReferences: {} };
      contract.evm = { bytecode: code };
    }
  }
  const namespaced = run(upgrades.makeNamespacedInput(input, output), read);
  const decode = upgrades.solcInputOutputDecoder(input, output);
  const validations = upgrades.validate(output, decode, solc.version(), input, namespaced);
  return { input, output, validations, deref: astDereferencer(output) };
}

function run(input, read) {
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors ?? []).filter((message) => message.severity === "error");
  if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
  return output;
}

/** The layout of every contract of ours that is deployed behind a proxy. */
function layoutsOf({ validations }) {
  const layouts = new Map();
  for (const contract of ownContracts()) {
    if (contract.abstract || contract.contractKind !== "contract") continue;
    const validation = validations[`${contract.path}:${contract.name}`];
    if (!validation.inherit.some((parent) => parent.endsWith(":UUPSUpgradeable"))) continue;
    const { storage, namespaces, types } = validation.layout;
    if (storage.length > 0) problems.push(`${contract.name} keeps ${storage[0].label} outside of any namespace`);
    layouts.set(contract.name, render(namespaces, types));
  }
  return new Map([...layouts].sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** Leaves out what is not layout: syntax tree numbers, lines, types that nothing refers to. */
function render(namespaces, types) {
  const rename = (id) =>
    id.replace(/t_(struct|enum|contract|userDefinedValueType)\((\w+)\)(\d+)/g, (whole, kind, name) => {
      const label = (types[`${whole}_storage`] ?? types[whole])?.label ?? name;
      return `t_${kind}(${label.replace(/^\w+ /, "")})`;
    });
  const used = {};
  const field = ({ label, type, slot, offset }) => {
    visit(type);
    return { label, slot, offset, type: rename(type) };
  };
  const visit = (id) => {
    const name = rename(id);
    const item = types[id];
    if (item === undefined || used[name] !== undefined) return;
    used[name] = { label: item.label };
    if (item.numberOfBytes !== undefined) used[name].numberOfBytes = item.numberOfBytes;
    if (item.underlying !== undefined) used[name].underlying = rename(item.underlying);
    if (item.members !== undefined) {
      used[name].members = item.members.map((member) => (typeof member === "string" ? member : field(member)));
    }
    // Types inside: the arguments of a mapping or an array.
    const inside = upgradesTypeArguments(id);
    inside.forEach(visit);
  };
  const kept = {};
  for (const id of Object.keys(namespaces).sort()) {
    const namespace = id.slice("erc7201:".length);
    kept[namespace] = { slot: slotOf(namespace), fields: namespaces[id].map(field) };
  }
  return { namespaces: kept, types: Object.fromEntries(Object.entries(used).sort()) };
}

/** `t_mapping(t_bytes32,t_array(t_uint256)dyn_storage)` → its two arguments. */
function upgradesTypeArguments(id) {
  if (!/^t_(mapping|array)\(/.test(id)) return [];
  const found = [];
  let depth = 0;
  let start = id.indexOf("(") + 1;
  for (let i = start; i < id.length; i++) {
    if (id[i] === "(") depth++;
    else if (id[i] === "," && depth === 0) {
      found.push(id.slice(start, i));
      start = i + 1;
    } else if (id[i] === ")" && depth-- === 0) {
      found.push(id.slice(start, i));
      break;
    }
  }
  return found;
}

/** Each accessor of a namespace's struct must load the slot that ERC-7201 gives the namespace. */
function slotProblems({ deref }) {
  const found = [];
  for (const contract of ownContracts()) {
    const structs = [...findAll("StructDefinition", contract.node)];
    for (const struct of structs) {
      const namespace = namespaceOf(struct);
      if (namespace === undefined) continue;
      const accessors = [...findAll("FunctionDefinition", contract.node)].filter((definition) =>
        definition.returnParameters.parameters.some(
          (parameter) =>
            parameter.storageLocation === "storage" &&
            parameter.typeName.pathNode?.referencedDeclaration === struct.id,
        ),
      );
      const slots = accessors.flatMap((accessor) => slotsSetIn(accessor, deref));
      if (slots.length === 0) found.push(`${contract.name}: nothing sets the slot of ${namespace}`);
      slots
        .filter((slot) => slot !== slotOf(namespace))
        .forEach((slot) => found.push(`${contract.name}: ${slot} is not the slot of ${namespace}: ${slotOf(namespace)}`));
    }
  }
  return found;
}

function namespaceOf(struct) {
  const text = typeof struct.documentation === "string" ? struct.documentation : struct.documentation?.text;
  return /@custom:storage-location erc7201:(\S+)/.exec(text ?? "")?.[1];
}

/** The values of `$.slot := CONSTANT` in a function's assembly. */
function slotsSetIn(accessor, deref) {
  const slots = [];
  for (const assembly of findAll("InlineAssembly", accessor)) {
    for (const statement of assembly.AST.statements) {
      if (statement.nodeType !== "YulAssignment") continue;
      const constant = assembly.externalReferences.find(
        (reference) => reference.src === statement.value.src && !reference.isSlot,
      );
      const declaration = constant && deref("VariableDeclaration", constant.declaration);
      slots.push(declaration?.value?.value?.toLowerCase() ?? "what is no literal constant");
    }
  }
  return slots;
}

function slotOf(namespace) {
  if (!slotsByNamespace.has(namespace)) slotsByNamespace.set(namespace, ask("cast", ["index-erc7201", namespace]));
  return slotsByNamespace.get(namespace);
}

function* ownContracts() {
  for (const [path, { ast }] of Object.entries(build.output.sources)) {
    if (!path.startsWith("src/")) continue;
    for (const node of findAll("ContractDefinition", ast)) {
      yield { path, node, name: node.name, abstract: node.abstract, contractKind: node.contractKind };
    }
  }
}

/** What OpenZeppelin's `validate` command says of our contracts. */
async function safetyProblems({ input, output }) {
  const folder = mkdtempSync(join(tmpdir(), "aleph-layout-"));
  try {
    const solcVersion = solc.version().split("+")[0];
    writeFileSync(join(folder, "build.json"), JSON.stringify({ input, output, solcVersion }));
    const report = await upgrades.validateUpgradeSafety(folder, undefined, undefined, {}, [], ["node_modules/**"]);
    return report.ok ? [] : [report.explain(false)];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function comparisonProblems(name, former, present) {
  const found = [];
  for (const [namespace, { slot, fields }] of Object.entries(former.namespaces)) {
    const now = present.namespaces[namespace];
    if (now === undefined) found.push(`${name}: the namespace ${namespace} is gone`);
    else if (now.slot !== slot) found.push(`${name}: the slot of ${namespace} has changed`);
    else found.push(...fieldProblems(`${name}: ${namespace}`, fields, now.fields));
  }
  for (const [id, type] of Object.entries(former.types)) {
    const now = present.types[id];
    if (now === undefined) continue; // Whatever used it is judged by itself.
    if (typeof type.members?.[0] === "string") {
      const kept = type.members.every((member, i) => member === now.members[i]);
      if (!kept || type.numberOfBytes !== now.numberOfBytes) {
        found.push(`${name}: ${type.label} may only get members at its end, and stay one byte`);
      }
    } else if (type.members !== undefined) {
      found.push(...fieldProblems(`${name}: ${type.label}`, type.members, now.members));
      // A longer element moves its neighbours in an array; in a mapping it has room.
      const inArray = Object.keys(former.types).some((other) => other.startsWith(`t_array(${id})`));
      if (inArray && type.numberOfBytes !== now.numberOfBytes) {
        found.push(`${name}: ${type.label} is an element of an array and has changed its size`);
      }
    } else if (type.underlying !== now.underlying || type.numberOfBytes !== now.numberOfBytes) {
      found.push(`${name}: ${type.label} has changed`);
    }
  }
  const changes = upgrades.getStorageUpgradeErrors(forOpenZeppelin(former), forOpenZeppelin(present));
  if (changes.length > 0 && found.length === 0) {
    found.push(`${name}: OpenZeppelin's comparison refuses: ${changes.map((change) => change.kind).join(", ")}`);
  }
  return found;
}

function fieldProblems(where, former, present) {
  return former
    .map((field, i) => {
      const now = present[i];
      const same = now && ["label", "slot", "offset", "type"].every((key) => now[key] === field[key]);
      return same ? undefined : `${where}: ${field.label} no longer is ${field.type} at slot ${field.slot}, byte ${field.offset}`;
    })
    .filter((problem) => problem !== undefined);
}

function forOpenZeppelin({ namespaces, types }) {
  const fields = Object.entries(namespaces).map(([namespace, content]) => [
    `erc7201:${namespace}`,
    content.fields.map((field) => ({ contract: "", src: "", ...field })),
  ]);
  return { layoutVersion: "1.2", flat: false, storage: [], types, namespaces: Object.fromEntries(fields) };
}

function inGit(name) {
  try {
    const stdio = ["ignore", "pipe", "ignore"];
    return JSON.parse(execFileSync("git", ["show", `${base}:./layout/${name}.json`], { cwd: root, encoding: "utf8", stdio }));
  } catch {
    return undefined; // A new contract, or no git here.
  }
}

function onDisk(name) {
  const path = join(layoutDir, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

function staleFiles() {
  const stale = presentFiles().filter((file) => !layouts.has(file.slice(0, -".json".length)));
  for (const [name, layout] of layouts) {
    const path = join(layoutDir, `${name}.json`);
    if (!existsSync(path) || readFileSync(path, "utf8") !== text(layout)) stale.push(`${name}.json`);
  }
  return stale.length === 0 ? [] : [`layout/ differs from the build: ${stale.join(", ")}. Run \`node tools/layout.mjs\`.`];
}

function writeFiles() {
  mkdirSync(layoutDir, { recursive: true });
  presentFiles().filter((file) => !layouts.has(file.slice(0, -".json".length))).forEach((file) => rmSync(join(layoutDir, file)));
  for (const [name, layout] of layouts) writeFileSync(join(layoutDir, `${name}.json`), text(layout));
  return [];
}

function presentFiles() {
  return existsSync(layoutDir) ? readdirSync(layoutDir).filter((file) => file.endsWith(".json")) : [];
}

/** One field a line, so that a change reads well in a diff. */
function text(layout) {
  return `${JSON.stringify(layout, null, 1).replace(/\{\n\s+"label": ("[^"]*"),\n\s+"slot": ("\d+"),\n\s+"offset": (\d+),\n\s+"type": ("[^"]*")\n\s+\}/g, '{"label": $1, "slot": $2, "offset": $3, "type": $4}')}\n`;
}
