"""Put away what an ended analysis no longer needs."""

from shared import naming
from shared.domain.markers import ArchivedMarker
from shared.domain.plan import Plan
from shared.domain.work import Stage
from shared.naming import Container
from shared.ports import Services
from shared.steps.look import read_round
from shared.steps.meter import Meter


def archive(plan: Plan, services: Services, tier: str) -> None:
    """Move the inputs to a cheaper tier, delete intermediate data, end the Batch job; leave `archived.json`.

    Only inputs that are still the ones analysed are moved: a file that was replaced is another analysis's input.

    Args:
        plan: The analysis.
        services: The outside world.
        tier: Access tier for the FASTQ files.
    """
    meter = Meter(services.clock)
    tiered = 0
    for group in plan.read_groups:
        for file in group.files:
            ref = naming.landing_blob(file.name)
            facts = services.blobs.facts(ref)
            if facts is not None and facts.content == file.content and facts.tier not in {tier.lower(), "archive"}:
                services.blobs.set_tier(ref, tier)
                tiered += 1
    services.tasks.finish(naming.job_id(plan.analysis, read_round(plan, services.blobs)), "delivered")
    deleted = services.blobs.delete(Container.WORK, naming.data_folder(plan.analysis))
    marker = ArchivedMarker(analysis=plan.analysis, deleted=deleted, tiered=tiered, **meter.read())
    services.blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.ARCHIVED), marker.to_json())
