/**
 * A local stand-in for the FHIR service of Azure Health Data Services (R4 4.0.1), over HTTP on loopback.
 *
 * It prints one JSON line with its address when it answers, saves every request's writes before it answers, and ends
 * when it is told to (SIGTERM, SIGINT) or when its standard input closes, because then its launcher is gone.
 *
 * Usage: node server.mjs HOST PORT [STATE_FOLDER]; a token in FHIR_REQUIRE_TOKEN is demanded as bearer token.
 */
import crypto from "node:crypto";
import http from "node:http";
import { processBundle, validationOutcome } from "./bundle.mjs";
import { capabilityStatement } from "./capability.mjs";
import { Faults } from "./faults.mjs";
import { conditionalUpdate, create, history, read, readVersion, remove, update } from "./interactions.mjs";
import { FhirError, badRequest } from "./outcome.mjs";
import { findIssues, loadDefinitions } from "./schema.mjs";
import { searchType } from "./search.mjs";
import { Store } from "./store.mjs";

const [host, port, stateFolder] = process.argv.slice(2);
const requiredToken = process.env.FHIR_REQUIRE_TOKEN;
const LARGEST_BODY_BYTES = 64 * 1024 * 1024;
const KEEP_ALIVE_MS = 120_000;
const JSON_TYPES = ["application/fhir+json", "application/json"];

loadDefinitions();
const store = new Store(stateFolder);
const faults = new Faults();
const startedAt = new Date();
let capability;

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST_BODY_BYTES) {
      throw new FhirError(413, "too-long", `The request has more than ${LARGEST_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(body) {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw badRequest(`The content is not JSON: ${error.message}`);
  }
}

function requireBearer(request) {
  const expected = Buffer.from(`Bearer ${requiredToken}`);
  const given = Buffer.from(request.headers.authorization ?? "");
  if (given.length !== expected.length || !crypto.timingSafeEqual(given, expected)) {
    throw new FhirError(401, "login", "Authentication failed.", { "WWW-Authenticate": "Bearer" });
  }
}

function jsonBody(request, body) {
  const type = (request.headers["content-type"] ?? "").split(";")[0].trim().toLowerCase();
  if (!JSON_TYPES.includes(type)) {
    const text = `The content type '${type}' is not supported; send application/fhir+json.`;
    throw new FhirError(415, "not-supported", text);
  }
  return parseJson(body);
}

/** Carries out one request; returns `{status, resource, headers}`. */
async function route(request, url, body, base) {
  if (request.method === "POST" && url.pathname === "/") {
    // A bundle makes its own units: one of a transaction, one per entry of a batch.
    return { status: 200, headers: {}, resource: await processBundle(store, base, jsonBody(request, body)) };
  }
  return store.run(() => interaction(request, url, body, base));
}

/** A request on one resource or one resource type. */
async function interaction(request, url, body, base) {
  const parts = url.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const [type, id, , version] = parts;
  const query = [...url.searchParams];
  const strict = /handling=strict/.test(request.headers.prefer ?? "");
  const ok = (resource) => ({ status: 200, headers: {}, resource });
  const shape = parts.map((segment, index) => (index === 0 ? "Type" : segmentKind(segment))).join("/");
  switch (`${request.method} ${shape}`) {
    case "GET Type":
      return ok(await searchType(store, base, type, query, strict));
    case "POST Type":
      return create(store, base, type, jsonBody(request, body), { ifNoneExist: request.headers["if-none-exist"] });
    case "PUT Type":
      return conditionalUpdate(store, base, type, url.search.slice(1), jsonBody(request, body));
    case "POST Type/_search":
      return ok(await searchType(store, base, type, [...query, ...new URLSearchParams(body)], strict));
    case "POST Type/$validate":
      return ok(validationOutcome(findIssues(resourceToValidate(jsonBody(request, body)))));
    case "GET Type/id":
      return read(store, base, type, id);
    case "PUT Type/id":
      return update(store, base, type, id, jsonBody(request, body), { ifMatch: request.headers["if-match"] });
    case "DELETE Type/id":
      return remove(store, type, id);
    case "GET Type/id/_history":
      return ok(history(store, base, type, id));
    case "GET Type/id/_history/id":
      return readVersion(store, base, type, id, version);
    default:
      throw new FhirError(405, "not-supported", `This local server does not support ${request.method} here.`);
  }
}

const segmentKind = (segment) => (/^[_$]/.test(segment) ? segment : "id");

/** `$validate` takes the resource itself or Parameters around it. */
function resourceToValidate(content) {
  return content?.resourceType === "Parameters"
    ? (content.parameter?.find(({ name }) => name === "resource")?.resource ?? content)
    : content;
}

/** Requests that need no token and meet no fault; undefined for all others. */
function unprotected(request, url, body, base) {
  switch (`${request.method} ${url.pathname}`) {
    case "GET /health":
    case "GET /health/check":
      return { status: 200, headers: {}, resource: { overallStatus: "Healthy" } };
    case "GET /metadata":
      capability ??= capabilityStatement(base, startedAt);
      return { status: 200, headers: {}, resource: capability };
    case "POST /local/fault":
      faults.plan(parseJson(body));
      return { status: 204, headers: {} };
    case "DELETE /local/fault":
      faults.clear();
      return { status: 204, headers: {} };
    default:
      return undefined;
  }
}

async function handle(request, base) {
  const url = new URL(request.url, base);
  const body = await readBody(request);
  const open = unprotected(request, url, body, base);
  if (open !== undefined) {
    return open;
  }
  if (requiredToken) {
    requireBearer(request);
  }
  const fault = faults.next();
  if (fault !== undefined && !fault.afterCommit) {
    return faults.answer(fault);
  }
  const answer = await route(request, url, body, base);
  return fault === undefined ? answer : faults.answer(fault);
}

function failure(error) {
  if (error instanceof FhirError) {
    return { status: error.status, headers: error.headers, resource: error.outcome };
  }
  // The stack shows code, never content of a resource.
  console.error(error.stack);
  return failure(new FhirError(500, "exception", "There was an error processing your request."));
}

const server = http.createServer(async (request, response) => {
  const address = server.address();
  const base = `http://${request.headers.host ?? `${address.address}:${address.port}`}`;
  const { status, headers, resource, drop } = await handle(request, base).catch(failure);
  if (drop) {
    request.socket.destroy();
    return;
  }
  const content = resource === undefined ? undefined : Buffer.from(JSON.stringify(resource));
  response.writeHead(status, {
    ...headers,
    "X-Request-Id": request.headers["x-ms-client-request-id"] ?? crypto.randomUUID(),
    ...(content && { "Content-Type": "application/fhir+json; charset=utf-8", "Content-Length": content.length }),
  });
  response.end(content);
});
server.keepAliveTimeout = KEEP_ALIVE_MS;

let closing = false;
function close() {
  if (closing) {
    return;
  }
  closing = true;
  // Requests under way are answered; idle connections are closed.
  server.close(() => {
    store.close();
    process.exit(0);
  });
  server.closeIdleConnections();
}

server.on("error", (error) => {
  console.error(`The FHIR server did not start: ${error.message}`);
  process.exit(1);
});
// The launcher may be gone when something is logged.
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);
process.on("SIGTERM", close);
process.on("SIGINT", close);
process.stdin.on("end", close).on("error", close).resume();
server.listen(Number(port), host, () => {
  const { address, port: actualPort } = server.address();
  console.log(JSON.stringify({ ready: { fhir: `http://${address}:${actualPort}` } }));
});
