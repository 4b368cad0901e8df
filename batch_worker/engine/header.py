"""SAM headers: the same text for the same reference, read groups and programs; no dates, no paths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from shared.domain.genome import Contig
from shared.errors import PermanentError


@dataclass(frozen=True, slots=True)
class SamReadGroup:
    """The fields of a SAM @RG line: ID, SM, LB, PL, PU, and PM where the model is known."""

    id: str
    sample: str
    library: str
    platform: str
    platform_unit: str
    model: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "sample", "library", "platform", "platform_unit"):
            value = getattr(self, name)
            if not value or not value.isprintable():
                raise PermanentError(
                    f"Read group field '{name}' is {value!r}; a SAM header needs printable text there. "
                    "Check the order and the FASTQ names."
                )

    def line(self) -> str:
        """The @RG line, without a line end."""
        model = f"\tPM:{self.model}" if self.model else ""
        return (
            f"@RG\tID:{self.id}\tSM:{self.sample}\tLB:{self.library}\tPL:{self.platform}\tPU:{self.platform_unit}"
            f"{model}"
        )


_ENDS = ("paired", "single-end")


def aligner_program(*, paired: bool = True, single_end: bool = False) -> str:
    """The @PG line of the aligner, without a line end; it says which kinds of reads there are."""
    ends = " and ".join(name for name, is_there in zip(_ENDS, (paired, single_end), strict=True) if is_there)
    return f"@PG\tID:bwa-mem3\tPN:bwa-mem3\tVN:{version('bwa-mem3')}\tDS:BWA-MEM, {ends}, default options"


def aligner_program_of(headers: Iterable[str]) -> str:
    """The aligner's @PG line of records from files with these headers, which this module wrote."""
    lines = [line for text in headers for line in text.splitlines() if line.startswith("@PG\tID:bwa-mem3\t")]
    paired, single_end = (any(f"DS:BWA-MEM, {name}," in line for line in lines) for name in _ENDS)
    return aligner_program(paired=paired or not single_end, single_end=single_end)


def duplicates_program() -> str:
    """The @PG line of duplicate marking, without a line end."""
    return "@PG\tID:duplicates\tPN:fastq2fhir\tPP:bwa-mem3\tDS:duplicates flagged as samtools markdup -m t does"


def recalibration_program(gatk_version: str) -> str:
    """The @PG line of base quality recalibration, without a line end."""
    return f"@PG\tID:recalibration\tPN:GATK\tVN:{gatk_version}\tPP:duplicates\tDS:BaseRecalibrator, ApplyBQSR"


def header_text(contigs: Sequence[Contig], read_groups: Sequence[SamReadGroup], programs: Sequence[str]) -> str:
    """The SAM header of coordinate-sorted records: @HD, @SQ in reference order, @RG in the order given, @PG."""
    lines = ["@HD\tVN:1.6\tSO:coordinate"]
    for contig in contigs:
        md5 = f"\tM5:{contig.md5}" if contig.md5 else ""
        lines.append(f"@SQ\tSN:{contig.name}\tLN:{contig.length}{md5}")
    lines.extend(group.line() for group in read_groups)
    lines.extend(programs)
    return "".join(f"{line}\n" for line in lines)


def parse_read_groups(text: str) -> tuple[SamReadGroup, ...]:
    """The @RG lines of a SAM header that this module wrote."""
    groups = []
    for line in text.splitlines():
        if line.startswith("@RG\t"):
            fields = dict(field.split(":", 1) for field in line.split("\t")[1:])
            model = fields.get("PM", "")
            groups.append(SamReadGroup(fields["ID"], fields["SM"], fields["LB"], fields["PL"], fields["PU"], model))
    return tuple(groups)


def read_dict(path: Path) -> tuple[Contig, ...]:
    """The contigs of a `.dict` file, in reference order.

    Raises:
        PermanentError: When it names none.
    """
    contigs = []
    for line in path.read_text().splitlines():
        if line.startswith("@SQ\t"):
            fields = dict(field.split(":", 1) for field in line.split("\t")[1:])
            contigs.append(Contig(fields["SN"], int(fields["LN"]), fields.get("M5", "")))
    if not contigs:
        raise PermanentError(f"{path.name} names no contigs. Build the reference index again.")
    return tuple(contigs)
