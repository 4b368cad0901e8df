"""The call task on blobs in memory: the BAM goes out first, the marker comes last, windows change nothing."""

import gzip
from dataclasses import replace
from functools import partial

import pytest

from batch_worker.engine.windowed import call_in_windows
from batch_worker.task import ExitStatus
from shared import naming
from shared.domain.markers import CalledMarker
from shared.domain.work import CallWork
from tests.fakes import FakeBlobs
from tests.unit.batch_worker.tasks.conftest import Drop, Install

SUFFIXES = ("bam", "vcf.gz", "g.vcf.gz")


def marker(drop: Drop) -> CalledMarker | None:
    found = drop.blobs.find(naming.called_marker(drop.plan.analysis, 0))
    return CalledMarker.model_validate_json(found) if found else None


def text(drop: Drop, suffix: str) -> bytes:
    return gzip.decompress(drop.blobs.read(naming.called_data(drop.plan.analysis, 0, suffix)))


def test_windows_change_nothing_and_the_marker_comes_last(
    drop: Drop, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drop.run() == ExitStatus.DONE
    blobs = FakeBlobs()
    install(blobs)
    windowed = replace(drop, blobs=blobs, context=replace(drop.context, blobs=blobs))
    assert windowed.run() == ExitStatus.DONE

    before = len(drop.blobs.events)
    assert drop.run(CallWork(0)) == ExitStatus.DONE
    names = [naming.called_data(drop.plan.analysis, 0, suffix) for suffix in SUFFIXES]
    events = drop.blobs.events[before:]
    assert events[0] == names[0]  # while calling runs
    assert set(events[1:3]) == set(names[1:])
    assert events[3:] == [naming.called_marker(drop.plan.analysis, 0)]

    monkeypatch.setattr("batch_worker.tasks.call.call_in_windows", partial(call_in_windows, window_bp=3_000))
    assert windowed.run(CallWork(0)) == ExitStatus.DONE
    one, two = marker(drop), marker(windowed)
    assert one is not None
    assert two is not None
    assert one.metrics == two.metrics
    assert (one.records, one.primary, one.variants, one.gvcf_records) == (
        two.records, two.primary, two.variants, two.gvcf_records,
    )  # fmt: skip
    assert [output.name for output in one.outputs] == [output.name for output in two.outputs]
    for suffix in SUFFIXES:
        assert text(drop, suffix) == text(windowed, suffix), suffix


def test_a_failed_upload_leaves_no_marker(drop: Drop) -> None:
    assert drop.run() == ExitStatus.DONE
    drop.blobs.kill_after = 0
    assert drop.run(CallWork(0)) == ExitStatus.TRY_AGAIN
    drop.blobs.kill_after = None
    assert marker(drop) is None
    assert drop.run(CallWork(0)) == ExitStatus.DONE
