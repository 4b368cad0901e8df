"""Run the local FHIR server: `python -m infra.local.fhir_server`."""

from infra.local.fhir_server import main

raise SystemExit(main())
