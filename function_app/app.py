"""The FunctionApp and its blueprints, one per row of the chain."""

import logging

import azure.functions as func

from function_app import annotate, archive, deliver, fail, fan_out, gather, ingest, reconcile, split
from function_app.api import analyses, cohorts, decisions, health, landing, orders

# The SDKs log every request at INFO, and the worker shows INFO.
logging.getLogger("azure").setLevel(logging.WARNING)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
CHAIN = (ingest, split, fan_out, gather, annotate, deliver, archive, fail, reconcile)
API = (analyses, cohorts, decisions, landing, orders, health)
for module in (*CHAIN, *API):
    app.register_functions(module.blueprint)
