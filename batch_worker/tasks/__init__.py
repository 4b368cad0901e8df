"""One module per task kind: fetch, run, verify, upload."""
