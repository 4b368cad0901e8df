"""GATK on single-end reads: it counts and calls them as it does pairs."""

from pathlib import Path

import pysam
import pytest

from batch_worker.engine.gatk import GatkOptions, call_shard_gatk, recalibrate_shard
from batch_worker.engine.header import read_dict
from shared.domain.genome import cut_shards
from shared.formats.known_sites import prepare_known_sites
from tests.engine_pipeline import HALO_BP, Outcome, align_all
from tests.gatk_home import gatk_or_skip
from tests.simulate import World
from tests.unit.batch_worker.engine.test_single_reads import single_world

pytestmark = pytest.mark.thorough


def passing(path: Path) -> set[tuple[str, int, str]]:
    with pysam.VariantFile(str(path)) as vcf:
        return {(v.chrom, v.pos, str(v.alts)) for v in vcf if "PASS" in v.filter and len(v.ref) == 1}


def test_single_end_reads_are_recalibrated_and_called(
    world: World, reference: Path, whole: Outcome, tmp_path: Path
) -> None:
    gatk = gatk_or_skip()
    contigs = read_dict(reference.with_name("reference.fa.dict"))
    (shard,) = cut_shards(contigs, 10**9)
    lanes = ("L1", "L2")
    aligned = align_all(single_world(world), reference, tmp_path / "aligned", (shard,), 10**6, singles=lanes)
    parts = [summary.parts[0].path for summary in aligned]
    known = tmp_path / "known.vcf.gz"
    prepare_known_sites(whole.vcf.path, reference, contigs, known)
    common = {"shard": shard, "reference": reference, "halo_bp": HALO_BP, "gatk": gatk, "log": tmp_path / "log"}
    counted = recalibrate_shard(parts, known_sites=[known], out_dir=tmp_path / "counted", **common)
    assert counted.records == sum(part.records for summary in aligned for part in summary.parts)
    called = call_shard_gatk(
        parts, tables=[counted.table], options=GatkOptions(), out_dir=tmp_path / "called", **common
    )
    theirs, ours = passing(called.vcf), passing(whole.vcf.path)
    assert len(theirs & ours) > 0.7 * len(ours) > 40
    with pysam.AlignmentFile(str(called.bam)) as bam:
        records = list(bam.fetch(until_eof=True))
    assert len(records) == counted.records
    assert not any(record.is_paired for record in records)
