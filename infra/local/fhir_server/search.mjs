/**
 * Search as the Azure service answers it: pages of 10 unless `_count` says otherwise (at most 1000), `next` links,
 * no total unless asked for, unknown parameters ignored with a note (or refused under `Prefer: handling=strict`).
 * Quantity, number and composite parameters and most modifiers are refused, because the engine would answer them
 * wrongly, with "nothing found" or as if the modifier were not there.
 */
import { core } from "./packages.mjs";
import { FhirError, badRequest, operationOutcome } from "./outcome.mjs";
import { requireResourceType } from "./schema.mjs";

const DEFAULT_PAGE = 10;
const LARGEST_PAGE = 1000;
const RESULT_PARAMETERS = new Set([
  "_count",
  "_elements",
  "_format",
  "_include",
  "_pretty",
  "_revinclude",
  "_sort",
  "_summary",
  "_total",
  "ct",
]);
const UNSUPPORTED_TYPES = new Set(["quantity", "number", "composite", "special"]);
/** Modifiers that the engine honours; it takes all others for a plain comparison. */
const SUPPORTED_MODIFIERS = new Set(["not", "missing", "contains"]);

/** The matches of a conditional operation or reference; every parameter must be known. */
export async function conditionalMatches(store, type, query) {
  requireResourceType(type);
  const parameters = [...new URLSearchParams(query)];
  const filters = parameters.filter(([name]) => !RESULT_PARAMETERS.has(name));
  if (filters.length === 0) {
    throw badRequest(`The condition on ${type} has no search parameter.`);
  }
  const { unknown, known } = splitParameters(type, filters);
  if (unknown.length > 0) {
    throw badRequest(`The condition on ${type} uses unknown search parameters: ${unknown.join(", ")}.`);
  }
  const bundle = await store.search(parse(type, known));
  return (bundle.entry ?? []).map((entry) => entry.resource);
}

/** The searchset Bundle of `GET base/type?parameters`. */
export async function searchType(store, base, type, parameters, strict) {
  requireResourceType(type);
  const { unknown, known } = splitParameters(type, parameters);
  if (unknown.length > 0 && strict) {
    throw badRequest(`The search parameters ${unknown.join(", ")} are not supported for resource type '${type}'.`);
  }
  const option = (name) => parameters.findLast(([key]) => key === name)?.[1];
  const page = pageSize(option("_count"));
  const offset = decodeToken(option("ct"));
  const request = parse(type, known);
  const countOnly = option("_summary") === "count" || page === 0;
  request.count = countOnly ? 0 : page;
  request.offset = offset;
  const found = await store.search(request);
  const entry = (found.entry ?? []).map(({ resource, search }) => ({
    fullUrl: `${base}/${resource.resourceType}/${resource.id}`,
    resource,
    search: { mode: search?.mode ?? "include" },
  }));
  if (unknown.length > 0) {
    const names = unknown.join(", ");
    const text = `The search parameters ${names} are not supported for resource type '${type}' and were ignored.`;
    entry.push({ resource: operationOutcome("warning", "not-supported", text), search: { mode: "outcome" } });
  }
  const bundle = {
    resourceType: "Bundle",
    id: store.newId(),
    meta: { lastUpdated: new Date().toISOString() },
    type: "searchset",
    link: links(base, type, parameters, offset, page, countOnly ? 0 : found.total),
  };
  if (countOnly || option("_total") === "accurate") {
    bundle.total = found.total;
  }
  if (entry.length > 0) {
    bundle.entry = entry;
  }
  return bundle;
}

function links(base, type, parameters, offset, page, total) {
  const url = (query) => (query.length > 0 ? `${base}/${type}?${new URLSearchParams(query)}` : `${base}/${type}`);
  const result = [];
  if (offset + page < total) {
    const rest = parameters.filter(([name]) => name !== "ct");
    result.push({ relation: "next", url: url([...rest, ["ct", encodeToken(offset + page)]]) });
  }
  result.push({ relation: "self", url: url(parameters) });
  return result;
}

const encodeToken = (offset) => Buffer.from(`{"offset":${offset}}`).toString("base64url");

function decodeToken(token) {
  if (token === undefined) {
    return 0;
  }
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString()).offset;
  } catch {
    throw badRequest("The continuation token is invalid.");
  }
}

function pageSize(text) {
  const count = text === undefined ? DEFAULT_PAGE : Number(text);
  if (!Number.isInteger(count) || count < 0) {
    throw badRequest(`The _count '${text}' is not a whole number.`);
  }
  return Math.min(count, LARGEST_PAGE);
}

/** Parameters that the type has, with the options, in the engine's form, and the names of those that it has not. */
function splitParameters(type, parameters) {
  const unknown = [];
  const known = [];
  for (const [name, value] of parameters) {
    if (RESULT_PARAMETERS.has(name.split(":")[0])) {
      known.push([name, value]);
      continue;
    }
    const translated = translate(type, name, value);
    if (translated === undefined) {
      unknown.push(name);
    } else {
      known.push(translated);
    }
  }
  return { unknown, known };
}

/** One search parameter in the engine's form; undefined when the type does not have it. */
function translate(type, name, value) {
  const unsupported = (reason) => {
    throw new FhirError(501, "not-supported", `This local server cannot search ${type} by '${name}': ${reason}.`);
  };
  if (name.startsWith("_has:")) {
    unsupported("reverse chains are not supported");
  }
  const [link, ...chain] = name.split(".");
  const [code, modifier] = link.split(":");
  const parameter = core.globalSchema.types[type]?.searchParams?.[code];
  if (parameter === undefined) {
    return undefined;
  }
  if (chain.length > 0) {
    const targets = modifier === undefined ? (parameter.target ?? []) : [modifier];
    const inner = targets.map((target) => translate(target, chain.join("."), value));
    return inner.includes(undefined) ? undefined : [name, value];
  }
  if (UNSUPPORTED_TYPES.has(parameter.type)) {
    unsupported(`it is a ${parameter.type} parameter`);
  }
  if (parameter.type === "reference" && modifier !== "missing") {
    // `subject:Patient=1` and `subject=1` name the id only; the engine compares whole references.
    const targets = modifier === undefined ? (parameter.target ?? []) : [modifier];
    if (modifier !== undefined && !parameter.target?.includes(modifier)) {
      unsupported(`the modifier '${modifier}' is not supported`);
    }
    const references = value
      .split(",")
      .flatMap((one) => (one.includes("/") ? [one] : targets.map((target) => `${target}/${one}`)));
    return [code, references.join(",")];
  }
  if (modifier !== undefined && !SUPPORTED_MODIFIERS.has(modifier)) {
    unsupported(`the modifier '${modifier}' is not supported`);
  }
  return [name, value];
}

/** The engine's form of a search, without its paging. */
function parse(type, parameters) {
  const query = {};
  for (const [name, value] of parameters) {
    if (!["_count", "ct", "_total", "_summary", "_format", "_pretty"].includes(name)) {
      (query[name] ??= []).push(value);
    }
  }
  try {
    const request = core.parseSearchRequest(type, query);
    request.count = undefined;
    return request;
  } catch (error) {
    throw badRequest(`The search on ${type} cannot be read: ${error.message}`);
  }
}
