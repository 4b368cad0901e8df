"""The timer: makes up for lost events and finds tasks that died without a word."""

import logging

import azure.functions as func

from function_app import bootstrap

log = logging.getLogger(__name__)
blueprint = func.Blueprint()


@blueprint.function_name("reconcile")
@blueprint.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%", use_monitor=False)
def reconcile(timer: func.TimerRequest) -> None:
    """Look at every open analysis."""
    del timer  # only the moment matters
    count = bootstrap.reconciler().reconcile()
    log.info("reconciled %d open analyses", count)
