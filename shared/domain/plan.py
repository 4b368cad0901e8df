"""The frozen plan of one analysis: what goes in, against what, with which settings."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.domain.genome import Contig, Shard, cut_shards
from shared.domain.ids import AnalysisId, Document, digest
from shared.domain.order import Order
from shared.domain.reads import ReadGroup
from shared.domain.reference import Assembly, ContigEntry, ReferenceManifest

RESULTS_VERSION = 1
"""Raised by hand with each change of the code that changes results, so that the analysis id changes too."""


class ResultSettings(Document):
    """Settings that change results and therefore the analysis id.

    Attributes:
        batch_pairs: Read pairs that are aligned as one batch. The aligner estimates insert sizes and breaks ties
            per batch; 20,000 pairs of 2x150 is near the 10 Mbp that bwa takes per thread.
        halo_bp: How far outside its borders a shard's reads are seen, in bp. Longer than a read with its
            clipped part, so that duplicates and realignment at a border see what they would see without it.
    """

    batch_pairs: Annotated[int, Field(ge=1)] = 20_000
    halo_bp: Annotated[int, Field(ge=300)] = 2_000


class Layout(Document):
    """How the work is cut up. Changes when and where things run, never the results.

    Attributes:
        chunk_pairs: Read pairs per chunk; a multiple of `ResultSettings.batch_pairs`.
        shard_bp: Reference bp per shard.
        large_input_bytes: From this much FASTQ (compressed bytes) on, gather and annotate are Batch tasks. A function
            holds the results twice on its temporary disk, of which a small instance has less than 1 GB.
        large_read_group_bytes: From this much FASTQ (compressed bytes of R1 and R2) on, a read group's split is a Batch
            task. A resumed split of most files goes on where it was; of one zstd frame it passes over what is done, and
            a function must get through that and one more chunk within its time.
    """

    chunk_pairs: Annotated[int, Field(ge=1)] = 1_000_000
    shard_bp: Annotated[int, Field(ge=1)] = 25_000_000
    large_input_bytes: Annotated[int, Field(ge=0)] = 256 * 1024**2
    large_read_group_bytes: Annotated[int, Field(ge=0)] = 8 * 1024**3


class ReferenceChoice(Document):
    """The reference bundle that the plan was frozen with."""

    name: str
    manifest_sha256: str
    assembly: Assembly
    contigs: tuple[ContigEntry, ...]
    versions: dict[str, str]

    @classmethod
    def of(cls, manifest: ReferenceManifest) -> Self:
        """The choice of a bundle by its manifest."""
        return cls(
            name=manifest.name,
            manifest_sha256=manifest.sha256,
            assembly=manifest.assembly,
            contigs=manifest.contigs,
            versions=manifest.versions,
        )


class Plan(Document):
    """All that an analysis needs to know, written once as `work/{analysis}/plan.json`.

    Attributes:
        received: When the last of the inputs came in (a fact of the storage, not of a clock).
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    sample: str
    order: Order
    received: datetime
    read_groups: Annotated[tuple[ReadGroup, ...], Field(min_length=1)]
    reference: ReferenceChoice
    settings: ResultSettings
    layout: Layout
    results_version: int = RESULTS_VERSION

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.layout.chunk_pairs % self.settings.batch_pairs:
            raise ValueError(
                f"chunk_pairs {self.layout.chunk_pairs} is no multiple of batch_pairs {self.settings.batch_pairs}"
            )
        return self

    @property
    def contigs(self) -> tuple[Contig, ...]:
        """The reference's contigs in order."""
        return tuple(entry.to_contig() for entry in self.reference.contigs)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of the genome in order."""
        return cut_shards(self.contigs, self.layout.shard_bp)

    @property
    def input_bytes(self) -> int:
        """Bytes of FASTQ as they lie in landing."""
        return sum(group.size for group in self.read_groups)

    @property
    def is_large(self) -> bool:
        """Whether gather and annotate are too heavy for a function."""
        return self.input_bytes >= self.layout.large_input_bytes

    def read_group(self, group_id: str) -> ReadGroup:
        """The read group of an id that came from this plan."""
        return next(group for group in self.read_groups if group.id == group_id)


def freeze_plan(
    order: Order,
    received: datetime,
    read_groups: tuple[ReadGroup, ...],
    manifest: ReferenceManifest,
    settings: ResultSettings,
    layout: Layout,
) -> Plan:
    """Freeze a plan; the same inputs give the same id, whatever the layout and the time."""
    deciding = {
        "order": order.model_dump(mode="json"),
        "files": [[file.name, file.size, file.content] for group in read_groups for file in (group.r1, group.r2)],
        "reference": manifest.sha256,
        "settings": settings.model_dump(mode="json"),
        "results_version": RESULTS_VERSION,
    }
    return Plan(
        analysis=AnalysisId(digest(deciding)[:24]),
        sample=order.sample,
        order=order,
        received=received,
        read_groups=read_groups,
        reference=ReferenceChoice.of(manifest),
        settings=settings,
        layout=layout,
    )
