/** The CapabilityStatement of this server, as `GET /metadata` gives it. */
import { core } from "./packages.mjs";
import { resourceTypes } from "./schema.mjs";

const INTERACTIONS = ["create", "read", "vread", "update", "delete", "history-instance", "search-type"];

function searchParameters(type) {
  return Object.values(core.globalSchema.types[type]?.searchParams ?? {})
    .filter((parameter) => parameter.type && parameter.code)
    .map(({ code, type: kind, url }) => ({ name: code, definition: url, type: kind }));
}

/** Built once per start; the server's address is part of it. */
export function capabilityStatement(base, startedAt) {
  return {
    resourceType: "CapabilityStatement",
    url: `${base}/metadata`,
    name: "LocalFhirServer",
    status: "active",
    date: startedAt.toISOString(),
    kind: "instance",
    software: { name: "Local stand-in for the FHIR service of Azure Health Data Services" },
    implementation: { description: "Local development only", url: base },
    fhirVersion: "4.0.1",
    format: ["application/fhir+json", "json"],
    rest: [
      {
        mode: "server",
        resource: resourceTypes().map((type) => ({
          type,
          interaction: INTERACTIONS.map((code) => ({ code })),
          versioning: "versioned",
          readHistory: true,
          updateCreate: true,
          conditionalCreate: true,
          conditionalUpdate: true,
          conditionalDelete: "not-supported",
          searchParam: searchParameters(type),
        })),
        interaction: [{ code: "transaction" }, { code: "batch" }],
      },
    ],
  };
}
