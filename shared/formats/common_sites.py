"""The common sites of a reference bundle: chosen once from a VCF with allele frequencies, then read by each call."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.domain.genome import Contig
from shared.domain.sites import CommonSite
from shared.errors import PermanentError
from shared.formats.contig_names import ContigNames, is_mitochondrial
from shared.formats.gff3 import open_text

MAX_SITES = 15_000
"""More sites than this make no estimate better that anybody acts on."""

MIN_FREQUENCY = 0.05
"""Of the rarer allele: below, nearly everybody shows the same."""

MIN_DISTANCE_BP = 200
"""Between two sites, so that hardly a read shows both."""

_BASES = frozenset("ACGT")
_SEX = frozenset({"X", "Y", "chrX", "chrY"})
_SEX_ACCESSIONS = ("NC_000023.", "NC_000024.")  # human X and Y, of any build
_FREQUENCY = re.compile(r"(?:^|;)AF=([^;]*)")
_WRONG_SHARE = 100  # one record in so many may disagree with the reference


@dataclass(frozen=True, slots=True)
class CommonSitesSummary:
    """What was chosen.

    Attributes:
        records: Records read.
        written: Sites written.
        left_out: Records that are none of the sites, by reason.
    """

    records: int
    written: int
    left_out: dict[str, int]


def prepare_common_sites(source: Path, fasta: Path, contigs: Sequence[Contig], out: Path) -> CommonSitesSummary:
    """Choose sites and write them as a small VCF (bgzip): at most `MAX_SITES`, spread over the genome.

    Taken are biallelic SNVs on autosomes (by name: not X, Y or the mitochondrion) that passed the source's filters,
    whose `INFO/AF` is between `MIN_FREQUENCY` and 1 less that. Where there are too many, each stretch of the genome
    keeps the one whose frequency is nearest one half.

    Args:
        source: VCF, plain or gzip, such as gnomAD's or 1000 Genomes'; sorted.
        fasta: The reference, with its `.fai`.
        contigs: The reference's contigs.
        out: File to write.

    Raises:
        PermanentError: With the line number, when the source is no such VCF, or when so many records disagree with the
            FASTA (more than one in a hundred) that it must be made for another genome build, or when nothing is left.
    """
    from pysam import BGZFile, FastaFile

    counts: Counter[str] = Counter()
    chosen: dict[tuple[int, int], CommonSite] = {}
    rank = {contig.name: number for number, contig in enumerate(contigs)}
    stretch = max(1, sum(contig.length for contig in contigs) // MAX_SITES)
    example = ""
    names = ContigNames(contig for contig in contigs if _is_autosome(contig))
    reference = FastaFile(str(fasta))
    contig_name, letters = "", ""
    for number, columns in _records(source):
        counts["records"] += 1
        name = names.find(columns[0])
        site = _site(name, columns, f"{source.name}, line {number:,}") if name else "not on an autosome"
        if isinstance(site, str):
            counts[site] += 1
            continue
        if site.contig != contig_name:
            contig_name, letters = site.contig, reference.fetch(site.contig).upper()
        if letters[site.pos - 1 : site.pos] != site.ref:
            counts["REF is not what the reference has there"] += 1
            example = example or f"line {number:,}: {columns[0]}:{site.pos} {site.ref}"
            continue
        counts["usable"] += 1
        key = (rank[site.contig], site.pos // stretch)
        if key not in chosen or abs(site.frequency - 0.5) < abs(chosen[key].frequency - 0.5):
            chosen[key] = site
    wrong = counts["REF is not what the reference has there"]
    if wrong * _WRONG_SHARE > wrong + counts["usable"]:
        raise PermanentError(
            f"{source.name}: {wrong:,} of {wrong + counts['usable']:,} sites disagree with {fasta.name} ({example}). "
            "Get the sites for this genome build."
        )
    sites = _apart(sorted(chosen.values(), key=lambda site: (rank[site.contig], site.pos)))
    if not sites:
        raise PermanentError(
            f"{source.name} has no usable site among {counts['records']:,} records; needed are biallelic SNVs on "
            f"autosomes of the reference with INFO/AF between {MIN_FREQUENCY} and {1 - MIN_FREQUENCY}."
        )
    counts["more than are needed, or too near to another"] = counts.pop("usable") - len(sites)
    records = counts.pop("records")
    with BGZFile(str(out), "wb") as target:
        head = (
            "##fileformat=VCFv4.2",
            '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency in the population">',
            *(f"##contig=<ID={contig.name},length={contig.length}>" for contig in contigs),
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
        )
        target.write("".join(f"{line}\n" for line in head).encode())
        for site in sites:
            line = f"{site.contig}\t{site.pos}\t.\t{site.ref}\t{site.alt}\t.\t.\tAF={site.frequency:g}\n"
            target.write(line.encode())
    return CommonSitesSummary(records, len(sites), {why: count for why, count in sorted(counts.items()) if count})


def read_common_sites(path: Path) -> list[CommonSite]:
    """The sites that `prepare_common_sites` wrote.

    Raises:
        PermanentError: With the line number, when a record is no common site.
    """
    sites = []
    for number, columns in _records(path):
        site = _site(columns[0], columns, f"{path.name}, line {number:,}")
        if isinstance(site, str):
            raise PermanentError(f"{path.name}, line {number:,}: {site}. Make the bundle again.")
        sites.append(site)
    return sites


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and columns of a VCF's records."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                continue
            columns = line.rstrip("\r\n").split("\t", 8)  # what follows INFO can be thousands of genotypes
            if number == 1 or len(columns) < 8 or not columns[1].isdecimal():
                raise PermanentError(
                    f"{path.name}, line {number:,}: this is no VCF. Give a VCF of common sites with INFO/AF."
                )
            yield number, columns


def _site(contig: str, columns: list[str], place: str) -> CommonSite | str:
    """The site of a record, or why it is none."""
    ref, alt, filters, info = columns[3].upper(), columns[4].upper(), columns[6], columns[7]
    if ref not in _BASES or alt not in _BASES:
        return "no biallelic SNV"
    if filters not in {".", "PASS"}:
        return "not passed by the source's filters"
    found = _FREQUENCY.search(info)
    if found is None:
        return "without INFO/AF"
    value = found[1]
    try:
        frequency = float(value)
    except ValueError as error:
        raise PermanentError(
            f"{place}: AF is '{value[:20]}'; a number from 0 to 1 is needed. Get the sites again."
        ) from error
    if not 0 <= frequency <= 1:
        raise PermanentError(f"{place}: AF is {frequency:g}; it must be from 0 to 1. Get the sites again.")
    if not MIN_FREQUENCY <= frequency <= 1 - MIN_FREQUENCY:
        return "too rare or too common"
    return CommonSite(contig, int(columns[1]), ref, alt, frequency)


def _is_autosome(contig: Contig) -> bool:
    """Whether two copies of it are expected of everybody, as far as its name tells."""
    is_sex = contig.name in _SEX or any(name.startswith(_SEX_ACCESSIONS) for name in (contig.name, contig.accession))
    return not is_sex and not is_mitochondrial(contig)


def _apart(sites: Sequence[CommonSite]) -> list[CommonSite]:
    """The sites without those too near to the one before."""
    kept: list[CommonSite] = []
    for site in sites:
        if not kept or kept[-1].contig != site.contig or site.pos - kept[-1].pos >= MIN_DISTANCE_BP:
            kept.append(site)
    return kept
