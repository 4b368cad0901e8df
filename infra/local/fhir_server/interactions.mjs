/** Create, update, delete and read of one resource: the same code for single requests and bundle entries. */
import { FhirError, badRequest, preconditionFailed, singleMatch } from "./outcome.mjs";
import { conditionalMatches } from "./search.mjs";
import { requireResourceType, validate } from "./schema.mjs";

const ID_PATTERN = /^[A-Za-z0-9\-.]{1,64}$/;

/** The answer to a request: HTTP status, resource and headers. */
function answer(base, status, resource, withLocation = false) {
  const { versionId, lastUpdated } = resource.meta;
  const headers = { ETag: `W/"${versionId}"`, "Last-Modified": new Date(lastUpdated).toUTCString() };
  if (withLocation) {
    headers.Location = `${base}/${resource.resourceType}/${resource.id}/_history/${versionId}`;
  }
  return { status, resource, headers, lastModified: lastUpdated };
}

function requireType(type, resource) {
  requireResourceType(type);
  if (resource?.resourceType !== type) {
    throw badRequest(`The request is for ${type}, but the content is ${resource?.resourceType ?? "no resource"}.`);
  }
}

/** POST: the server chooses the id (`chosenId` is the one it promised to a bundle's references). */
export async function create(store, base, type, resource, { ifNoneExist, chosenId } = {}) {
  requireType(type, resource);
  if (ifNoneExist) {
    const match = singleMatch(await conditionalMatches(store, type, ifNoneExist), ifNoneExist);
    if (match !== undefined) {
      // As Azure does: an empty answer that does not say which resource matched.
      return { status: 200, headers: {} };
    }
  }
  validate(resource);
  return answer(base, 201, store.write({ ...resource, id: chosenId ?? store.newId() }), true);
}

/** PUT Type/id: replaces the resource, or creates it with this id. */
export function update(store, base, type, id, resource, { ifMatch } = {}) {
  requireType(type, resource);
  if (!ID_PATTERN.test(id)) {
    throw badRequest(`The id '${id}' is not 1 to 64 letters, digits, '-' or '.'.`);
  }
  if (resource.id !== id) {
    throw badRequest(`The id in the url is '${id}', the id in the resource is '${resource.id ?? ""}'.`);
  }
  const existed = store.has(type, id);
  if (ifMatch !== undefined) {
    const wanted = ifMatch.replace(/^W\//, "").replaceAll('"', "");
    const current = existed ? store.read(type, id).meta.versionId : undefined;
    if (current !== wanted) {
      throw preconditionFailed(`If-Match asks for version ${wanted}, the current one is ${current ?? "none"}.`);
    }
  }
  validate(resource);
  // Azure tells the location of new resources only.
  return answer(base, existed ? 200 : 201, store.write(resource), !existed);
}

/** PUT Type?condition: updates the one match, or creates. */
export async function conditionalUpdate(store, base, type, condition, resource) {
  requireType(type, resource);
  const match = singleMatch(await conditionalMatches(store, type, condition), condition);
  const id = match?.id ?? resource.id ?? store.newId();
  if (resource.id !== undefined && resource.id !== id) {
    throw badRequest(`The condition matches id '${id}', the id in the resource is '${resource.id}'.`);
  }
  return update(store, base, type, id, { ...resource, id });
}

/** GET Type/id. */
export function read(store, base, type, id) {
  requireResourceType(type);
  return answer(base, 200, store.read(type, id));
}

/** GET Type/id/_history/version. */
export function readVersion(store, base, type, id, versionId) {
  requireResourceType(type);
  const version = store.history(type, id).find((candidate) => candidate.versionId === versionId);
  if (version?.resource === undefined) {
    const [status, code] = version === undefined ? [404, "not-found"] : [410, "deleted"];
    throw new FhirError(status, code, `${type}/${id} has no version ${versionId}.`);
  }
  return answer(base, 200, version.resource);
}

/** GET Type/id/_history: all versions in one Bundle, newest first. */
export function history(store, base, type, id) {
  requireResourceType(type);
  const versions = store.history(type, id);
  const entry = versions.map(({ versionId, lastUpdated, resource }) => ({
    fullUrl: `${base}/${type}/${id}`,
    ...(resource && { resource }),
    request: { method: resource ? "PUT" : "DELETE", url: `${type}/${id}` },
    response: { status: resource ? "200" : "204", etag: `W/"${versionId}"`, lastModified: lastUpdated },
  }));
  return { resourceType: "Bundle", type: "history", total: entry.length, entry };
}

/** DELETE Type/id: also a success when there is nothing to delete. */
export function remove(store, type, id) {
  requireResourceType(type);
  store.delete(type, id);
  return { status: 204, headers: {} };
}
