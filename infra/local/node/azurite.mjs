/**
 * Azurite's blob and queue services in one process, as its own command line starts them, except that
 *
 * - the access log holds blob requests only (queue polling would drown them) and goes to a file, one line per finished
 *   request, written before the next request is read, with SAS signatures removed;
 * - there is no table service and no telemetry client;
 * - free ports can be asked for (0) and are reported on standard output as one JSON line;
 * - the end of standard input means that the launcher is gone: the state is saved and the process ends.
 *
 * Usage: node azurite.mjs STATE_FOLDER HOST BLOB_PORT QUEUE_PORT [ACCESS_LOG]
 */
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);
const [stateFolder, host, blobPort, queuePort, accessLog] = process.argv.slice(2);

// An idle client keeps its connections this long (Azurite's 5 s makes pooled clients meet closed connections).
const KEEP_ALIVE_SECONDS = 120;

// Azurite's configuration classes read neither arguments nor environment; these are the modules its main() uses.
const BlobServer = require("azurite/dist/src/blob/BlobServer").default;
const BlobConfiguration = require("azurite/dist/src/blob/BlobConfiguration").default;
const blobConstants = require("azurite/dist/src/blob/utils/constants");
const QueueServer = require("azurite/dist/src/queue/QueueServer").default;
const QueueConfiguration = require("azurite/dist/src/queue/QueueConfiguration").default;
const queueConstants = require("azurite/dist/src/queue/utils/constants");
const { AzuriteTelemetryClient } = require("azurite/dist/src/common/Telemetry");
const Logger = require("azurite/dist/src/common/Logger");

function inState(name) {
  return path.join(stateFolder, name);
}

function persistence(template, name) {
  return template.map((location) => ({ ...location, locationPath: inState(name) }));
}

function accessLogStream() {
  if (accessLog === undefined) {
    return undefined;
  }
  fs.mkdirSync(path.dirname(path.resolve(accessLog)), { recursive: true });
  const descriptor = fs.openSync(accessLog, "a");
  return { write: (line) => fs.writeSync(descriptor, line.replace(/([?&]sig=)[^&\s"]*/g, "$1removed")) };
}

fs.mkdirSync(stateFolder, { recursive: true });
Logger.configLogger(false, undefined);
AzuriteTelemetryClient.init(stateFolder, false, undefined);

const logStream = accessLogStream();
const NOT_LOOSE = false;
// The client libraries move to new service versions before Azurite names them; the requests used here are old ones.
const SKIP_API_VERSION_CHECK = true;

const blob = new BlobServer(
  new BlobConfiguration(
    host,
    Number(blobPort),
    KEEP_ALIVE_SECONDS,
    inState(blobConstants.DEFAULT_BLOB_LOKI_DB_PATH),
    inState(blobConstants.DEFAULT_BLOB_EXTENT_LOKI_DB_PATH),
    persistence(blobConstants.DEFAULT_BLOB_PERSISTENCE_ARRAY, blobConstants.DEFAULT_BLOB_PERSISTENCE_PATH),
    logStream !== undefined,
    logStream,
    false,
    undefined,
    NOT_LOOSE,
    SKIP_API_VERSION_CHECK,
  ),
);
const queue = new QueueServer(
  new QueueConfiguration(
    host,
    Number(queuePort),
    KEEP_ALIVE_SECONDS,
    inState(queueConstants.DEFAULT_QUEUE_LOKI_DB_PATH),
    inState(queueConstants.DEFAULT_QUEUE_EXTENT_LOKI_DB_PATH),
    persistence(queueConstants.DEFAULT_QUEUE_PERSISTENCE_ARRAY, queueConstants.DEFAULT_QUEUE_PERSISTENCE_PATH),
    false,
    undefined,
    false,
    undefined,
    NOT_LOOSE,
    SKIP_API_VERSION_CHECK,
  ),
);

let closing = false;
async function close() {
  if (closing) {
    return;
  }
  closing = true;
  try {
    // Closing writes the metadata databases; without it up to five seconds of changes are lost.
    await Promise.all([blob.close(), queue.close()]);
    process.exit(0);
  } catch (error) {
    console.error(`Azurite did not close cleanly: ${error.message}`);
    process.exit(1);
  }
}

try {
  await blob.start();
  await queue.start();
} catch (error) {
  console.error(`Azurite did not start: ${error.message}`);
  process.exit(1);
}
// The launcher may be gone when something is logged.
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);
process.on("SIGTERM", close);
process.on("SIGINT", close);
process.stdin.on("end", close).on("error", close).resume();
console.log(JSON.stringify({ ready: { blob: blob.getHttpServerAddress(), queue: queue.getHttpServerAddress() } }));
