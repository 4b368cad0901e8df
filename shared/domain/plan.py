"""The frozen plan of one analysis: what goes in, against what, with which settings."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.domain.genome import Contig, Shard, cut_shards
from shared.domain.ids import AnalysisId, Document, digest
from shared.domain.karyotype import Karyotype, pseudo_autosomal_regions
from shared.domain.order import Caller, Order
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.reference import Assembly, ContigEntry, ReferenceManifest, Stretch
from shared.domain.thresholds import Limit, Limits

RESULTS_VERSION = 2
"""Raised by hand with each change of the code that changes results, so that the analysis id changes too."""


MOST_CHUNK_PAIRS = 20_000_000
"""An align task keeps some bytes of each record in memory, however many records are on its disk."""


class ResultSettings(Document):
    """Settings that change results and therefore the analysis id.

    Attributes:
        batch_pairs: Read pairs that are aligned as one batch; of single-end reads it has twice as many. The aligner
            estimates insert sizes and breaks ties per batch; 20,000 pairs of 2x150 is near the 10 Mbp that bwa takes
            per thread.
        halo_bp: How far outside its borders a shard's reads are seen, in bp. Longer than a read with its
            clipped part, so that duplicates and realignment at a border see what they would see without it.
        gatk_shard_bp: Reference bp per shard where the caller is GATK, whose results may depend on where it is cut.
    """

    batch_pairs: Annotated[int, Field(ge=1)] = 20_000
    halo_bp: Annotated[int, Field(ge=300)] = 2_000
    gatk_shard_bp: Annotated[int, Field(ge=1)] = 25_000_000


class Layout(Document):
    """How the work is cut up. Changes when and where things run, never the results.

    Attributes:
        chunk_pairs: Read pairs per chunk, which of single-end reads has twice as many; a multiple of
            `ResultSettings.batch_pairs`, at most `MOST_CHUNK_PAIRS`.
        shard_bp: Reference bp per shard; not for GATK, see `ResultSettings.gatk_shard_bp`.
        large_input_bytes: From this much FASTQ (compressed bytes) on, gather and annotate are Batch tasks. A function
            holds the results twice on its temporary disk, of which a small instance has less than 1 GB.
        large_reference_bp: From this many bp of reference on, steps that need its sequence are Batch tasks: annotate,
            and gather where it writes CRAM. A function would have to fetch a byte for each to its temporary disk.
        large_read_group_bytes: From this much FASTQ (compressed bytes of R1 and R2) on, a read group's split is a Batch
            task. A resumed split of most files goes on where it was; of one zstd frame it passes over what is done, and
            a function must get through that and one more chunk within its time.
    """

    chunk_pairs: Annotated[int, Field(ge=1, le=MOST_CHUNK_PAIRS)] = 1_000_000
    shard_bp: Annotated[int, Field(ge=1)] = 25_000_000
    large_input_bytes: Annotated[int, Field(ge=0)] = 256 * 1024**2
    large_reference_bp: Annotated[int, Field(ge=0)] = 250_000_000
    large_read_group_bytes: Annotated[int, Field(ge=0)] = 8 * 1024**3


class ReferenceChoice(Document):
    """The reference bundle that the plan was frozen with."""

    name: str
    manifest_sha256: str
    assembly: Assembly
    contigs: tuple[ContigEntry, ...]
    versions: dict[str, str]
    pseudo_autosomal: tuple[Stretch, ...] | None = None

    @classmethod
    def of(cls, manifest: ReferenceManifest) -> Self:
        """The choice of a bundle by its manifest."""
        return cls(
            name=manifest.name,
            manifest_sha256=manifest.sha256,
            assembly=manifest.assembly,
            contigs=manifest.contigs,
            versions=manifest.versions,
            pseudo_autosomal=manifest.pseudo_autosomal,
        )


class Targets(Document):
    """The part of the genome that is called and judged: merged and padded intervals of a BED file.

    Attributes:
        source: Blob name of the BED that they were made from.
        sha256: Of the BED as it was made for this analysis, `work/data/{analysis}/targets.bed`.
        padding_bp: Added to both sides of each of its intervals, bp.
        intervals: How many there are, merged.
        length_bp: Their length in all, bp.
    """

    source: str
    sha256: str
    padding_bp: int
    intervals: int
    length_bp: int


class Fingerprint(Document):
    """Genotypes that are known of the person whom the sample should be from.

    Attributes:
        source: Where they came from: a blob in `landing` that the order names, or an earlier result.
        sha256: Of the VCF as it was copied, `naming.known_fingerprint_data`.
    """

    source: str
    sha256: str


class Plan(Document):
    """All that an analysis needs to know, written once as `work/{analysis}/plan.json`.

    Attributes:
        received: When the last of the inputs came in (a fact of the storage, not of a clock).
        targets: None for the whole genome.
        fingerprint: What the sample is compared with; None when nothing is known.
        limits: What the sample's quality figures must keep, by figure; `thresholds.DEFAULT_LIMITS` hold besides.
        folder: Landing folder of the drop.
        follows: The analysis of the same sample's same drop that this one was begun after, because a file was replaced,
            a lane was added or the order was changed. Its report is the one that this one's replaces.
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
    targets: Targets | None = None
    fingerprint: Fingerprint | None = None
    limits: Annotated[Limits, Field(default_factory=dict)]
    results_version: int = RESULTS_VERSION
    folder: str = ""
    follows: AnalysisId | None = None

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
    def karyotype(self) -> Karyotype:
        """The reference's chromosomes by kind."""
        given = self.reference.pseudo_autosomal
        if given is None:
            return Karyotype(self.contigs, pseudo_autosomal_regions(self.reference.assembly, self.contigs))
        return Karyotype(self.contigs, tuple(stretch.to_interval() for stretch in given))

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of the genome in order."""
        is_gatk = self.order.options.caller is Caller.GATK
        return cut_shards(self.contigs, self.settings.gatk_shard_bp if is_gatk else self.layout.shard_bp)

    @property
    def input_bytes(self) -> int:
        """Bytes of FASTQ as they lie in landing."""
        return sum(group.size for group in self.read_groups)

    @property
    def is_large(self) -> bool:
        """Whether gather and annotate are too heavy for a function."""
        return self.input_bytes >= self.layout.large_input_bytes

    @property
    def has_large_reference(self) -> bool:
        """Whether the reference's sequence is too large for a function."""
        return sum(entry.length for entry in self.reference.contigs) >= self.layout.large_reference_bp

    def chunk_templates(self, group: ReadGroup) -> int:
        """Read pairs, or single-end reads, per chunk of a read group: the same number of reads of either."""
        return self.layout.chunk_pairs * 2 // group.template_reads

    def read_group(self, group_id: str) -> ReadGroup:
        """The read group of an id that came from this plan."""
        return next(group for group in self.read_groups if group.id == group_id)


def analysis_id(
    order: Order,
    inputs: Iterable[tuple[InputFile, ...]],
    manifest: ReferenceManifest,
    settings: ResultSettings,
    *,
    targets: Targets | None = None,
    limits: Mapping[str, Limit] = MappingProxyType({}),
    fingerprint: str | None = None,
) -> AnalysisId:
    """The id of an analysis, from all that decides its results.

    Args:
        order: The order; what it says of files that come later decides no result.
        inputs: The files of each read group.
        manifest: Of the reference bundle.
        settings: That change results.
        targets: Of the order or its test.
        limits: Of the test's definition; those of the order go before them.
        fingerprint: Identifies the bytes of the VCF that the order names as `fingerprint`. What is found without being
            asked for does not enter the id: the same drop stays the same analysis.
    """
    deciding = {
        "order": order.model_dump(mode="json", exclude={"late_files"} | _defaults_of_newer_fields(order)),
        "files": sorted([[file.name, file.size, file.content] for file in files] for files in inputs),
        "reference": manifest.sha256,
        "settings": settings.model_dump(mode="json"),
        "targets": targets.sha256 if targets else None,
        "limits": {name: limit.model_dump(mode="json") for name, limit in {**limits, **order.qc}.items()},
        "fingerprint": fingerprint,
        "results_version": RESULTS_VERSION,
    }
    return AnalysisId(digest(deciding)[:24])


def _defaults_of_newer_fields(order: Order) -> set[str]:
    """Fields that orders had not always, where they say nothing: an older order keeps its analysis id."""
    return set() if order.single_end else {"single_end"}


def freeze_plan(
    order: Order,
    received: datetime,
    read_groups: tuple[ReadGroup, ...],
    manifest: ReferenceManifest,
    settings: ResultSettings,
    layout: Layout,
    *,
    targets: Targets | None = None,
    limits: Mapping[str, Limit] = MappingProxyType({}),
    fingerprint: str | None = None,
    folder: str = "",
    follows: AnalysisId | None = None,
) -> Plan:
    """Freeze a plan; the same inputs give the same id, whatever the layout and the time.

    Args:
        order: What is asked for.
        received: When the last of the inputs came in.
        read_groups: The complete pairs, and files of single-end reads.
        manifest: Of the reference bundle.
        settings: Change the results and the id.
        layout: Changes neither.
        targets: Of the order or its test; None for the whole genome.
        limits: Of the test's definition; those of the order go before them.
        fingerprint: As for `analysis_id`.
        folder: Landing folder of the drop; the sample's own when left out.
        follows: See `Plan`.
    """
    inputs = (group.files for group in read_groups)
    return Plan(
        analysis=analysis_id(
            order, inputs, manifest, settings, targets=targets, limits=limits, fingerprint=fingerprint
        ),
        sample=order.sample,
        order=order,
        received=received,
        read_groups=read_groups,
        reference=ReferenceChoice.of(manifest),
        settings=settings,
        layout=layout,
        targets=targets,
        limits={**limits, **order.qc},
        folder=folder or order.sample,
        follows=follows,
    )
