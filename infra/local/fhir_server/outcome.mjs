/** Errors as FHIR wants them: an HTTP status with an OperationOutcome. */

/** An OperationOutcome with one issue. */
export function operationOutcome(severity, code, diagnostics, expression) {
  const issue = { severity, code, diagnostics };
  if (expression !== undefined) {
    issue.expression = [expression];
  }
  return { resourceType: "OperationOutcome", issue: [issue] };
}

/** Ends a request with this HTTP status; `code` is from FHIR's issue types. */
export class FhirError extends Error {
  constructor(status, code, diagnostics, headers = {}) {
    super(diagnostics);
    this.status = status;
    this.headers = headers;
    this.outcome = operationOutcome("error", code, diagnostics);
  }

  /** An error with several issues, for example those of a validation. */
  static withIssues(status, issues) {
    const error = new FhirError(status, "invalid", issues.map((issue) => issue.diagnostics).join("; "));
    error.outcome = { resourceType: "OperationOutcome", issue: issues };
    return error;
  }
}

export const badRequest = (diagnostics) => new FhirError(400, "invalid", diagnostics);
export const notFound = (diagnostics) => new FhirError(404, "not-found", diagnostics);
export const preconditionFailed = (diagnostics) => new FhirError(412, "conflict", diagnostics);

/** Throws 412 when a condition matches more than one resource; returns the match, or undefined. */
export function singleMatch(matches, condition) {
  if (matches.length > 1) {
    const text = `The condition '${condition}' is not selective enough: ${matches.length} resources match.`;
    throw preconditionFailed(text);
  }
  return matches[0];
}
