/**
 * Transaction and batch bundles in the steps of Microsoft's open-source FHIR server.
 *
 * A transaction first looks at all entries (conditions are answered from what is stored before it), then gives new
 * ids to POST and conditional PUT entries and rewrites references that equal an entry's fullUrl: only those two
 * kinds of entries can be referred to by urn:uuid, and a conditional reference cannot find what the same
 * bundle creates. Then it runs by verb: DELETE, POST, PUT, GET. The first error ends it and nothing is kept.
 */
import { FhirError, badRequest, operationOutcome, singleMatch } from "./outcome.mjs";
import { conditionalUpdate, create, read, remove, update } from "./interactions.mjs";
import { conditionalMatches, searchType } from "./search.mjs";
import { requireResourceType } from "./schema.mjs";

const ENTRY_LIMIT = 500;
const VERB_ORDER = ["DELETE", "POST", "PUT", "GET"];

/** The response Bundle of a transaction or batch. */
export async function processBundle(store, base, bundle) {
  if (bundle?.resourceType !== "Bundle") {
    throw badRequest(`The service root takes a Bundle, not ${bundle?.resourceType ?? "this content"}.`);
  }
  if (bundle.type !== "transaction" && bundle.type !== "batch") {
    throw new FhirError(405, "not-supported", `A Bundle of type '${bundle.type}' cannot be processed.`);
  }
  const entries = bundle.entry ?? [];
  if (!Array.isArray(entries)) {
    throw badRequest("Bundle.entry is not an array.");
  }
  if (entries.length > ENTRY_LIMIT) {
    throw badRequest(`The number of entries in the bundle exceeded the configured limit of ${ENTRY_LIMIT}.`);
  }
  return bundle.type === "transaction" ? transaction(store, base, entries) : batch(store, base, entries);
}

function transaction(store, base, entries) {
  return store.run(async () => {
    const ids = await resolveEntries(store, entries);
    for (const { resource } of entries) {
      await rewriteReferences(store, resource, ids);
    }
    const responses = new Array(entries.length);
    for (const verb of VERB_ORDER) {
      for (const [index, entry] of entries.entries()) {
        if (entry.request.method === verb) {
          responses[index] = await transactionEntry(store, base, entry, ids);
        }
      }
    }
    return { resourceType: "Bundle", id: store.newId(), type: "transaction-response", entry: responses };
  });
}

async function transactionEntry(store, base, entry, ids) {
  try {
    return toResponse(await execute(store, base, entry, ids.get(entry.fullUrl)?.id));
  } catch (error) {
    if (!(error instanceof FhirError)) {
      throw error;
    }
    const { method, url } = entry.request;
    const text = `Transaction failed on '${method}' for the requested url '/${url}'.`;
    throw FhirError.withIssues(error.status, [
      { severity: "error", code: "processing", diagnostics: text },
      ...error.outcome.issue,
    ]);
  }
}

async function batch(store, base, entries) {
  const responses = [];
  for (const entry of entries) {
    try {
      checkEntry(entry);
      responses.push(toResponse(await store.run(() => execute(store, base, entry))));
    } catch (error) {
      if (!(error instanceof FhirError)) {
        throw error;
      }
      responses.push({ response: { status: String(error.status), outcome: error.outcome } });
    }
  }
  return { resourceType: "Bundle", id: store.newId(), type: "batch-response", entry: responses };
}

function checkEntry(entry) {
  const { method, url } = entry?.request ?? {};
  if (typeof url !== "string" || url.trim() === "") {
    throw badRequest("A bundle entry has no request.url.");
  }
  if (!VERB_ORDER.includes(method)) {
    throw badRequest(`The bundle entry for '${url}' has the unsupported request method '${method}'.`);
  }
  if ((method === "POST" && url.includes("_search")) || (method === "DELETE" && url.includes("?"))) {
    throw badRequest(`The bundle entry '${method} ${url}' is not supported in a bundle.`);
  }
  if (entry.resource?.resourceType === "Bundle") {
    throw badRequest("A Bundle resource is not supported inside a bundle.");
  }
  if ((method === "POST" || method === "PUT") && entry.resource === undefined) {
    throw badRequest(`The bundle entry '${method} ${url}' has no resource.`);
  }
}

/** Checks all entries; returns what references to their fullUrl become: fullUrl to `{type, id}`. */
async function resolveEntries(store, entries) {
  const seen = new Set();
  const ids = new Map();
  for (const entry of entries) {
    checkEntry(entry);
    const { method, url } = entry.request;
    if (method === "GET" || url.includes("$")) {
      continue;
    }
    const target = await targetOf(store, entry, ids);
    if (target !== undefined) {
      // Ids are compared without case, as the real service compares them.
      const key = target.toLowerCase();
      if (seen.has(key)) {
        throw badRequest(`Bundle contains multiple resources that refer to the same resource '${target}'.`);
      }
      seen.add(key);
    }
  }
  for (const { fullUrl, request, resource } of entries) {
    const takesNewId = request.method === "POST" || (request.method === "PUT" && request.url.includes("?"));
    if (takesNewId && fullUrl && !ids.has(fullUrl)) {
      resource.id = store.newId();
      ids.set(fullUrl, { type: resource.resourceType, id: resource.id });
    }
  }
  return ids;
}

/** What the entry writes to, as far as it is known before the transaction runs. */
async function targetOf(store, entry, ids) {
  const { method, url, ifNoneExist } = entry.request;
  const [type, query] = url.split("?");
  const condition = method === "POST" ? ifNoneExist : query;
  if (!condition) {
    return method === "POST" ? entry.fullUrl : url;
  }
  const found = singleMatch(await conditionalMatches(store, type, condition), condition);
  if (found === undefined) {
    return undefined;
  }
  const match = { type, id: found.id };
  if (entry.fullUrl) {
    ids.set(entry.fullUrl, match);
  }
  return `${match.type}/${match.id}`;
}

/** Replaces, in place, references to entries and conditional references by `Type/id`. */
async function rewriteReferences(store, node, ids) {
  if (typeof node !== "object" || node === null) {
    return;
  }
  if (typeof node.reference === "string") {
    const known = ids.get(node.reference);
    if (known !== undefined) {
      node.reference = `${known.type}/${known.id}`;
    } else if (node.reference.includes("?")) {
      const found = await resolveConditional(store, node.reference);
      ids.set(node.reference, found);
      node.reference = `${found.type}/${found.id}`;
    }
  }
  for (const child of Object.values(node)) {
    await rewriteReferences(store, child, ids);
  }
}

async function resolveConditional(store, reference) {
  const [type, query] = reference.split("?");
  const matches = await conditionalMatches(store, type, query);
  if (matches.length !== 1) {
    const text = `Given conditional reference '${reference}' does not resolve to a resource.`;
    throw badRequest(matches.length === 0 ? text : `${text} ${matches.length} resources match.`);
  }
  return { type, id: matches[0].id };
}

async function execute(store, base, entry, promisedId) {
  const { method, url, ifNoneExist, ifMatch } = entry.request;
  const [location, query] = url.split("?");
  const [type, id, ...rest] = location.split("/");
  requireResourceType(type);
  if (rest.length > 0 || url.includes("$")) {
    throw badRequest(`The bundle entry '${method} ${url}' is not supported by this local server.`);
  }
  switch (method) {
    case "POST":
      return create(store, base, type, entry.resource, { ifNoneExist, chosenId: promisedId });
    case "PUT":
      return id === undefined
        ? conditionalUpdate(store, base, type, query ?? "", entry.resource)
        : update(store, base, type, id, entry.resource, { ifMatch });
    case "DELETE":
      return remove(store, type, id);
    default:
      return id === undefined
        ? { status: 200, headers: {}, resource: await searchType(store, base, type, [...new URLSearchParams(query)]) }
        : read(store, base, type, id);
  }
}

function toResponse({ status, resource, headers, lastModified }) {
  const response = { status: String(status) };
  if (headers.Location) {
    response.location = headers.Location;
  }
  if (headers.ETag) {
    response.etag = headers.ETag;
    response.lastModified = lastModified;
  }
  return { ...(resource && { resource }), response };
}

/** The answer of `$validate`: always a success, with the issues found. */
export function validationOutcome(issues) {
  return issues.length > 0
    ? { resourceType: "OperationOutcome", issue: issues }
    : operationOutcome("information", "informational", "All OK");
}
