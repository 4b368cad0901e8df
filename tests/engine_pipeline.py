"""The engine from FASTQ text to gathered files, in process, for tests.

Read groups named in `singles` are single reads; a chunk of them holds as many reads as one of pairs.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_worker.engine.align import AlignSummary, align_chunk
from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.header import SamReadGroup, read_dict
from shared.domain.genome import Shard, cut_shards
from shared.domain.sites import CommonSite
from shared.steps.gather_files import GatheredBam, GatheredVcf, gather_bams, gather_gvcfs, gather_vcfs
from tests.simulate import World

HALO_BP = 800
BATCH_PAIRS = 200


@dataclass(frozen=True)
class Outcome:
    aligned: list[AlignSummary]
    called: list[CallSummary]
    bam: GatheredBam
    vcf: GatheredVcf
    gvcf: GatheredVcf


def chunks(reads: bytes, pairs: int) -> list[bytes]:
    lines = iter(reads.splitlines(keepends=True))
    return list(iter(lambda: b"".join(itertools.islice(lines, 8 * pairs)), b""))


def align_all(
    world: World,
    reference: Path,
    work: Path,
    shards: tuple[Shard, ...],
    chunk_pairs: int,
    threads: int = 1,
    singles: Collection[str] = (),
    halo_bp: int = HALO_BP,
) -> list[AlignSummary]:
    summaries = []
    for lane, reads in world.read_groups.items():
        for number, text in enumerate(chunks(reads, chunk_pairs)):
            folder = work / f"{lane}-{number}"
            folder.mkdir(parents=True)
            (folder / "chunk.fastq").write_bytes(text)
            summaries.append(
                align_chunk(
                    folder / "chunk.fastq",
                    index_prefix=reference,
                    read_group=SamReadGroup(lane, "NA1", "lib1", "ILLUMINA", f"F1.{lane}"),
                    shards=shards,
                    halo_bp=halo_bp,
                    batch_pairs=BATCH_PAIRS,
                    threads=threads,
                    single_end=lane in singles,
                    out_dir=folder / "parts",
                    log=work / "align.log",
                )
            )
    return summaries


def run_pipeline(
    world: World,
    reference: Path,
    work: Path,
    shard_bp: int,
    chunk_pairs: int = 10**6,
    threads: int = 1,
    common_sites: Sequence[CommonSite] = (),
    singles: Collection[str] = (),
    halo_bp: int = HALO_BP,
) -> Outcome:
    shards = cut_shards(read_dict(reference.with_name("reference.fa.dict")), shard_bp)
    aligned = align_all(world, reference, work, shards, chunk_pairs, threads, singles, halo_bp)
    called = [
        call_shard(
            [summary.parts[shard.number].path for summary in aligned],
            shard=shard,
            reference=reference,
            halo_bp=halo_bp,
            options=CallOptions(),
            out_dir=work / "called" / str(shard.number),
            log=work / "call.log",
            common_sites=common_sites,
        )
        for shard in shards
    ]
    return Outcome(
        aligned,
        called,
        gather_bams([summary.bam for summary in called], work / "all.bam"),
        gather_vcfs([summary.vcf for summary in called], work / "all.vcf.gz"),
        gather_gvcfs([summary.gvcf for summary in called], work / "all.g.vcf.gz"),
    )
