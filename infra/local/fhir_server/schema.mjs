/**
 * FHIR R4's definitions and the check of a resource against them.
 *
 * The engine reports wrong codes of required bindings not at all, and wrong reference targets and doubled choice
 * elements as warnings; Azure refuses them, so here they are errors. Profiles are not checked, and neither are codes
 * of value sets that no published list spells out (media types, languages, currencies, UCUM): Azure does not
 * know those either.
 */
import v8 from "node:v8";
import vm from "node:vm";
import { core, readJson } from "./packages.mjs";
import { FhirError, notFound } from "./outcome.mjs";

const CODE_FILES = ["fhir/r4/valuesets.json", "fhir/r4/v3-codesystems.json"];

/** Codes that a required binding allows, by value set url: Map of system to Set of codes, or undefined if open. */
const allowedCodes = new Map();

/** Loads the definitions; takes about a second. */
export function loadDefinitions() {
  core.indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
  core.indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
  core.indexSearchParameterBundle(readJson("fhir/r4/search-parameters.json"));
  loadRequiredBindings();
  // The parsed files are some 200 MB of garbage that an idle server would keep for hours.
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")();
}

/** The names of all R4 resource types, sorted. */
export function resourceTypes() {
  return core.getResourceTypes();
}

/** Throws 404 unless R4 has this resource type. */
export function requireResourceType(type) {
  if (!core.isResourceType(type)) {
    throw notFound(`Resource type '${type}' is not supported.`);
  }
}

/** Throws 400 with all issues unless the resource is a valid R4 resource. */
export function validate(resource) {
  const issues = findIssues(resource);
  if (issues.length > 0) {
    throw FhirError.withIssues(400, issues);
  }
}

/** All reasons why the resource is no valid R4 resource. */
export function findIssues(resource) {
  if (typeof resource !== "object" || resource === null || !core.isResourceType(resource.resourceType)) {
    return [issue("structure", "The content has no R4 resourceType.")];
  }
  const tokens = {};
  let found;
  try {
    found = core.validateResource(resource, { collect: { tokens } });
  } catch (error) {
    if (!(error instanceof core.OperationOutcomeError)) {
      throw error;
    }
    found = error.outcome.issue;
  }
  return [
    ...found.filter(isViolation).map(toError),
    ...emptyArrays(resource, resource.resourceType),
    ...codeIssues(tokens),
  ];
}

/** FHIR's JSON has no empty arrays; the engine overlooks them. */
function emptyArrays(node, path) {
  if (typeof node !== "object" || node === null) {
    return [];
  }
  if (Array.isArray(node) && node.length === 0) {
    return [issue("structure", `An array must not be empty (${path})`, path)];
  }
  return Object.entries(node).flatMap(([name, child]) =>
    emptyArrays(child, Array.isArray(node) ? `${path}[${name}]` : `${path}.${name}`),
  );
}

function issue(code, diagnostics, expression) {
  return { severity: "error", code, diagnostics, ...(expression && { expression: [expression] }) };
}

function toError(found) {
  const text = found.details?.text ?? found.diagnostics ?? "Invalid";
  return issue(found.code, `${text} (${found.expression?.join(", ") ?? "resource"})`, found.expression?.[0]);
}

function isViolation(found) {
  if (found.severity === "error" || found.severity === "fatal") {
    return true;
  }
  // Absolute and urn: references name no type; anything else that is not a target type is wrong.
  const reference = /^Invalid reference: got "([^"]*)"/.exec(found.details?.text ?? "");
  return reference ? !reference[1].includes(":") : found.code === "structure";
}

function codeIssues(tokens) {
  const issues = [];
  for (const [valueSet, values] of Object.entries(tokens)) {
    const allowed = allowedCodes.get(valueSet);
    if (allowed === undefined) {
      continue;
    }
    for (const { type, value, path } of values) {
      const wrong = wrongCode(type, value, allowed);
      if (wrong !== undefined) {
        issues.push(issue("code-invalid", `'${wrong}' is not in the required value set ${valueSet} (${path})`, path));
      }
    }
  }
  return issues;
}

/** The code that is not allowed, or undefined. */
function wrongCode(type, value, allowed) {
  const inAnySystem = (code) => [...allowed.values()].some((codes) => codes.has(code));
  const inSystem = (coding) => allowed.get(coding.system)?.has(coding.code) === true;
  switch (type) {
    case "code":
    case "string":
    case "uri": {
      const code = value?.valueOf?.() ?? value;
      return typeof code !== "string" || inAnySystem(code) ? undefined : code;
    }
    case "Coding":
      return inSystem(value) ? undefined : `${value.system}#${value.code}`;
    case "CodeableConcept":
      return (value.coding ?? []).some(inSystem)
        ? undefined
        : (value.coding ?? []).map((coding) => `${coding.system}#${coding.code}`).join(", ") || value.text;
    default:
      return undefined;
  }
}

function loadRequiredBindings() {
  const required = new Set();
  for (const schema of Object.values(core.getAllDataTypes())) {
    for (const element of Object.values(schema.elements)) {
      if (element.binding?.strength === "required" && element.binding.valueSet !== undefined) {
        required.add(element.binding.valueSet);
      }
    }
  }
  const valueSets = new Map();
  const codeSystems = new Map();
  for (const file of CODE_FILES) {
    for (const { resource } of readJson(file).entry) {
      (resource.resourceType === "ValueSet" ? valueSets : codeSystems).set(resource.url, resource);
    }
  }
  for (const canonical of required) {
    const valueSet = valueSets.get(canonical.split("|")[0]);
    allowedCodes.set(canonical, valueSet && expand(valueSet, codeSystems));
  }
}

/** The codes of a value set by system; undefined when they cannot be listed. */
function expand(valueSet, codeSystems) {
  const codes = new Map();
  for (const include of valueSet.compose?.include ?? []) {
    const concepts = include.concept ?? codeSystems.get(include.system)?.concept;
    if (include.filter || include.valueSet || concepts === undefined) {
      return undefined;
    }
    const known = codes.get(include.system) ?? new Set();
    codes.set(include.system, known);
    addCodes(concepts, known);
  }
  return codes.size > 0 ? codes : undefined;
}

function addCodes(concepts, codes) {
  for (const concept of concepts) {
    codes.add(concept.code);
    addCodes(concept.concept ?? [], codes);
  }
}
