"""The two kinds of failure, and the only exceptions that cross a module border.

A message says what, where, why and what to do; it never holds patient data.
"""


class PipelineError(Exception):
    """The family of errors that this project raises on purpose."""


class PermanentError(PipelineError):
    """Bad data or a bad setting: trying again gives the same result, so the analysis stops and tells."""


class TransientError(PipelineError):
    """Something outside failed for now: trying again later may work."""


class LedgerError(PermanentError):
    """Two counts that must be equal are not; nothing may be released."""
