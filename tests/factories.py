"""Valid objects from minimal arguments."""

from datetime import UTC, datetime
from typing import Any

from shared.domain.markers import FailureKind, FailureRecord
from shared.domain.order import Order
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.reference import Assembly, BundleFile, ContigEntry, ReferenceManifest, Role
from shared.domain.work import Work

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_order(sample: str = "NA00001", **fields: Any) -> Order:
    values = {
        "sample": sample,
        "patient": {"identifier": {"system": "urn:example:mrn", "value": "P1"}},
        "test": {"code": "demo-panel", "display": "Demo panel"},
        "reference": "demo",
        **fields,
    }
    return Order.model_validate(values)


def make_manifest(
    contigs: tuple[tuple[str, int], ...] = (("chr1", 1_000), ("chr2", 600)), **fields: Any
) -> ReferenceManifest:
    values: dict[str, Any] = {
        "name": "demo",
        "assembly": Assembly.OTHER,
        "contigs": tuple(ContigEntry(name=name, length=length, md5="0" * 32) for name, length in contigs),
        "files": (BundleFile(path="reference.fa", role=Role.FASTA, size=1, sha256="0" * 64),),
        "versions": {"genes": "demo 1"},
        **fields,
    }
    return ReferenceManifest(**values)


def make_read_group(group: str = "S1_L001", sample: str = "NA00001", content: str = "a") -> ReadGroup:
    def file(mate: int) -> InputFile:
        return InputFile(
            name=f"{sample}/{sample}_{group}_R{mate}_001.fastq.gz", size=1_000, content=f"md5:{content}{mate}"
        )

    return ReadGroup(id=group, r1=file(1), r2=file(2), library=sample, platform_unit=f"{sample}.{group}")


def make_plan(
    *,
    sample: str = "NA00001",
    groups: tuple[str, ...] = ("S1_L001",),
    contigs: tuple[tuple[str, int], ...] = (("chr1", 1_000), ("chr2", 600)),
    shard_bp: int = 500,
    batch_pairs: int = 10,
    chunk_pairs: int = 20,
    large_input_bytes: int = 1 << 40,
    large_reference_bp: int = 1 << 40,
    large_read_group_bytes: int = 1 << 40,
    content: str = "a",
    options: dict[str, Any] | None = None,
    gatk_shard_bp: int = 25_000_000,
) -> Plan:
    return freeze_plan(
        order=make_order(sample, options=options or {}),
        received=NOON,
        read_groups=tuple(make_read_group(group, sample, content) for group in groups),
        manifest=make_manifest(contigs),
        settings=ResultSettings(batch_pairs=batch_pairs, gatk_shard_bp=gatk_shard_bp),
        layout=Layout(
            chunk_pairs=chunk_pairs,
            shard_bp=shard_bp,
            large_input_bytes=large_input_bytes,
            large_reference_bp=large_reference_bp,
            large_read_group_bytes=large_read_group_bytes,
        ),
    )


def make_failure(
    plan: Plan,
    work: Work,
    *,
    attempt: int = 0,
    kind: FailureKind = FailureKind.TRANSIENT,
    failed: datetime = NOON,
) -> FailureRecord:
    return FailureRecord(
        analysis=plan.analysis, work=str(work), attempt=attempt, kind=kind, message="it broke", failed=failed
    )
