/**
 * Resources with their versions, in memory and in a journal file.
 *
 * All writes of one request form one unit: `run` keeps them all or none, and writes them as one line of
 * `journal.ndjson`, synced to disk before the request is answered. A crash in the middle of a line loses
 * that line only, whose request had no answer yet.
 */
import fs from "node:fs";
import path from "node:path";
import { MemoryRepository, core } from "./packages.mjs";
import { FhirError, badRequest, notFound } from "./outcome.mjs";

const JOURNAL = "journal.ndjson";
const NEWLINE = 0x0a;

export class Store {
  /** @param {string | undefined} folder where the journal lives; without it nothing outlives the process */
  constructor(folder) {
    this.engine = new MemoryRepository();
    /** "Type/id" to all versions, oldest first; a deletion is a version without `resource`. */
    this.versions = new Map();
    this.pending = [];
    this.queue = Promise.resolve();
    if (folder !== undefined) {
      fs.mkdirSync(folder, { recursive: true });
      this.journal = this.#openJournal(path.join(folder, JOURNAL));
    }
  }

  close() {
    if (this.journal !== undefined) {
      fs.closeSync(this.journal);
      this.journal = undefined;
    }
  }

  /** Runs `work` alone, in the order of calls; its writes are kept when it returns and undone when it throws. */
  run(work) {
    const result = this.queue.then(async () => {
      try {
        const value = await work();
        this.#commit();
        return value;
      } catch (error) {
        this.#rollback();
        throw error;
      } finally {
        this.pending = [];
      }
    });
    this.queue = result.catch(() => undefined);
    return result;
  }

  newId() {
    return this.engine.generateId();
  }

  has(type, id) {
    return this.versions.get(`${type}/${id}`)?.at(-1)?.resource !== undefined;
  }

  /** The current version; throws 404 if there never was one and 410 if it was deleted. */
  read(type, id) {
    const versions = this.versions.get(`${type}/${id}`);
    if (versions === undefined) {
      throw notFound(`Resource type '${type}' with id '${id}' couldn't be found.`);
    }
    const current = versions.at(-1).resource;
    if (current === undefined) {
      throw new FhirError(410, "deleted", `Resource type '${type}' with id '${id}' has been deleted.`);
    }
    return current;
  }

  /** All versions, newest first: `{versionId, lastUpdated, resource}`, without `resource` for a deletion. */
  history(type, id) {
    const versions = this.versions.get(`${type}/${id}`);
    if (versions === undefined) {
      throw notFound(`Resource type '${type}' with id '${id}' couldn't be found.`);
    }
    return versions.toReversed();
  }

  /** Stores a new version of the resource, whose id is set; returns it with its meta. */
  write(resource) {
    const key = `${resource.resourceType}/${resource.id}`;
    const versionId = String((this.versions.get(key)?.length ?? 0) + 1);
    const lastUpdated = new Date().toISOString();
    const stored = { ...resource, meta: { ...resource.meta, versionId, lastUpdated } };
    this.#append({ key, versionId, lastUpdated, resource: stored });
    return stored;
  }

  /** Marks the resource as deleted; deleting what is not there does nothing. */
  delete(type, id) {
    if (this.has(type, id)) {
      const key = `${type}/${id}`;
      const versionId = String(this.versions.get(key).length + 1);
      this.#append({ key, versionId, lastUpdated: new Date().toISOString() });
    }
  }

  /** Searches current resources; the request is the engine's parsed form. */
  async search(request) {
    try {
      return await this.engine.search(request);
    } catch (error) {
      if (error instanceof core.OperationOutcomeError) {
        throw badRequest(error.message);
      }
      throw error;
    }
  }

  #append(version) {
    this.pending.push(version);
    this.#apply(version);
  }

  #apply(version) {
    const versions = this.versions.get(version.key) ?? [];
    this.versions.set(version.key, versions);
    versions.push(version);
    this.#show(version.key);
  }

  /** Makes the engine's search see the current version of the resource. */
  #show(key) {
    const [type, id] = key.split("/");
    const current = this.versions.get(key)?.at(-1)?.resource;
    const resources = this.engine.resources.get(type) ?? new Map();
    this.engine.resources.set(type, resources);
    if (current === undefined) {
      resources.delete(id);
    } else {
      resources.set(id, current);
    }
  }

  #commit() {
    if (this.journal === undefined || this.pending.length === 0) {
      return;
    }
    const line = Buffer.from(`${JSON.stringify(this.pending)}\n`);
    try {
      fs.writeFileSync(this.journal, line);
      fs.fsyncSync(this.journal);
      this.journalBytes += line.length;
    } catch (error) {
      // A full disk leaves a part of the line; the next line must not follow it.
      fs.ftruncateSync(this.journal, this.journalBytes);
      throw error;
    }
  }

  #rollback() {
    for (const { key } of this.pending.toReversed()) {
      const versions = this.versions.get(key);
      versions.pop();
      if (versions.length === 0) {
        this.versions.delete(key);
      }
      this.#show(key);
    }
  }

  #openJournal(file) {
    const journal = fs.openSync(file, "a+");
    const content = fs.readFileSync(file);
    const whole = content.lastIndexOf(NEWLINE) + 1;
    for (const line of content.subarray(0, whole).toString("utf8").split("\n")) {
      if (line !== "") {
        JSON.parse(line).forEach((version) => this.#apply(version));
      }
    }
    fs.ftruncateSync(journal, whole);
    this.journalBytes = whole;
    return journal;
  }
}
