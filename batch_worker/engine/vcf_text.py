"""VCF lines between bcftools and our files: header, filters, FORMAT order, counts. Pure functions over text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

ORIGINAL_TAG = "ORIGINAL"
_LINES_PER_PIECE = 2_048
_FORMAT_ORDER = ("GT", "AD", "DP", "GQ", "PL")
_TRANSITIONS = frozenset({("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")})


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """When a variant is not PASS.

    Attributes:
        min_qual: `LowQual` when QUAL (Phred) is below.
        min_depth: `LowDepth` when FORMAT/DP (reads) is below.
        min_mapping_quality: `LowMapQ` when INFO/MQ (Phred, mean of the reads) is below.
    """

    min_qual: float = 20.0
    min_depth: int = 5
    min_mapping_quality: int = 2

    def header_lines(self) -> list[str]:
        """The ##FILTER lines."""
        rules = (
            ("LowQual", f"QUAL < {self.min_qual:g}"),
            ("LowDepth", f"FORMAT/DP < {self.min_depth}"),
            ("LowMapQ", f"INFO/MQ < {self.min_mapping_quality}"),
        )
        return [f'##FILTER=<ID={name},Description="{rule}">' for name, rule in rules]

    def verdict(self, qual: str, depth: str, mapping_quality: str) -> str:
        """The FILTER column: PASS, or the names of all limits that were missed."""
        missed = []
        if qual == "." or float(qual) < self.min_qual:
            missed.append("LowQual")
        if depth in {"", "."} or int(depth) < self.min_depth:
            missed.append("LowDepth")
        if mapping_quality and int(mapping_quality) < self.min_mapping_quality:
            missed.append("LowMapQ")
        return ";".join(missed) or "PASS"


@dataclass(slots=True)
class VariantCounts:
    """Counts over variant records (one ALT allele each); the last four count PASS records only."""

    variants: int = 0
    passing: int = 0
    snvs: int = 0
    indels: int = 0
    transitions: int = 0
    transversions: int = 0
    heterozygous: int = 0
    homozygous: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, ref: str, alt: str, verdict: str, genotype: str) -> None:
        """Count one record."""
        self.variants += 1
        is_snv = len(ref) == len(alt) == 1
        self.snvs += is_snv
        self.indels += len(ref) != len(alt)
        for reason in verdict.split(";"):
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if verdict != "PASS":
            return
        self.passing += 1
        if is_snv:
            is_transition = (ref, alt) in _TRANSITIONS
            self.transitions += is_transition
            self.transversions += not is_transition
        alleles = set(genotype.replace("|", "/").split("/"))
        self.heterozygous += len(alleles) > 1
        self.homozygous += alleles == {"1"}


def header_lines(lines: Iterable[str], own: Iterable[str]) -> list[str]:
    """A bcftools header without what names paths or runs, with our own lines before the column line."""
    kept = [
        # bcftools call declares MQ as Integer; the VCF specification, and whoever reads the file, wants Float.
        line.replace("##INFO=<ID=MQ,Number=1,Type=Integer", "##INFO=<ID=MQ,Number=1,Type=Float")
        for line in lines
        if not line.startswith(("##reference=", "##bcftools_"))
    ]
    return [*kept[:-1], *own, kept[-1]]


def split_header(text: Iterable[str]) -> tuple[list[str], Iterator[str]]:
    """The header lines up to #CHROM, and an iterator over the records; both without line ends."""
    lines = (line.rstrip("\n") for line in text)
    header = []
    for line in lines:
        header.append(line)
        if line.startswith("#CHROM"):
            break
    return header, lines


def text_pieces(lines: Iterator[str]) -> Iterator[bytes]:
    """The lines with their line ends, some thousand at a time."""
    while some := list(islice(lines, _LINES_PER_PIECE)):
        yield ("\n".join(some) + "\n").encode()


def is_variant(line: str) -> bool:
    """Whether a record has an ALT allele; reference blocks have `.`."""
    return line.split("\t", 5)[4] != "."


def info_value(info: str, key: str) -> str:
    """One INFO value; empty when the key is absent."""
    prefix = key + "="
    return next((item[len(prefix) :] for item in info.split(";") if item.startswith(prefix)), "")


def finish_variants(lines: Iterable[str], limits: FilterLimits, counts: VariantCounts) -> Iterator[str]:
    """Set FILTER and order FORMAT as GT:AD:DP:GQ:PL (what is absent is left out); count."""
    for line in lines:
        columns = line.split("\t")
        sample = dict(zip(columns[8].split(":"), columns[9].split(":"), strict=True))
        columns[6] = limits.verdict(columns[5], sample.get("DP", ""), info_value(columns[7], "MQ"))
        names = [name for name in _FORMAT_ORDER if name in sample]
        names += [name for name in sample if name not in _FORMAT_ORDER]
        columns[8] = ":".join(names)
        columns[9] = ":".join(sample[name] for name in names)
        counts.add(columns[3], columns[4], columns[6], sample["GT"])
        yield "\t".join(columns)
