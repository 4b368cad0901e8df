"""Genotypes at common sites as VCF: our own fingerprints, and those that arrays and other laboratories give."""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from shared.domain.fingerprint import Genotype, Letters
from shared.domain.genome import Contig
from shared.errors import PermanentError
from shared.formats.contig_names import ContigNames
from shared.formats.gff3 import open_text

_BASES = frozenset("ACGT")
_DIPLOID = re.compile(r"(\d+)[/|](\d+)")
_CALLS = {None: "./.", 0: "0/0", 1: "0/1", 2: "1/1"}
_HEADER = (
    "##fileformat=VCFv4.2",
    "##source=fastq2fhir",
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency in the population">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype; ./. when the reads cannot tell">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Fragments that show each allele">',
    '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality of the genotype, Phred">',
)


def write_fingerprint(genotypes: Iterable[Genotype], sample: str, contigs: Sequence[Contig], out: Path) -> Path:
    """Write a sample's genotypes as bgzip VCF, in the order of the reference, and index it.

    Returns:
        The index, `{out}.tbi`.
    """
    from pysam import BGZFile, tabix_index

    rank = {contig.name: number for number, contig in enumerate(contigs)}
    ordered = sorted(genotypes, key=lambda one: (rank[one.counts.site.contig], one.counts.site.pos))
    with BGZFile(str(out), "wb") as target:
        lines = [
            *_HEADER,
            *(f"##contig=<ID={contig.name},length={contig.length}>" for contig in contigs),
            f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}",
        ]
        target.write("".join(f"{line}\n" for line in lines).encode())
        for one in ordered:
            site, counts = one.counts.site, one.counts
            target.write(
                f"{site.contig}\t{site.pos}\t.\t{site.ref}\t{site.alt}\t.\t.\tAF={site.frequency:g}\tGT:AD:GQ\t"
                f"{_CALLS[one.alts]}:{counts.ref},{counts.alt}:{one.quality}\n".encode()
            )
    index = Path(f"{out}.tbi")
    tabix_index(str(out), preset="vcf", force=True, index=str(index))
    return index


def read_genotypes(path: Path, sample: str, contigs: Sequence[Contig]) -> dict[tuple[str, int], Letters]:
    """The SNV genotypes of a VCF of one sample, by contig (the reference's name) and pos (1-based).

    Alleles are read as letters, so REF and ALT may be swapped. Left out are genotypes that are missing, half missing or
    not diploid, alleles that are no single bases, and contigs that the reference lacks. Of a position given twice with
    different genotypes, none is taken.

    Args:
        path: Plain or gzip.
        sample: Which column to read when the file has several.
        contigs: The reference's.

    Raises:
        PermanentError: With the line number, when it is no VCF with genotypes of the sample.
    """
    names = ContigNames(contigs)
    found: dict[tuple[str, int], Letters | None] = {}
    column: int | None = None
    with open_text(path) as lines:
        for number, line in enumerate(_readable(lines, path.name), 1):
            if line.startswith("##"):
                continue
            columns = line.rstrip("\r\n").split("\t")
            if line.startswith("#CHROM"):
                column = _column(columns, sample, path.name, number)
                continue
            if column is None or len(columns) <= column or not columns[1].isdecimal():
                raise PermanentError(
                    f"{path.name}, line {number:,}: this is no VCF with genotypes (CHROM, POS, ID, REF, ALT, QUAL, "
                    "FILTER, INFO, FORMAT, sample, after a line #CHROM). Upload the fingerprint as VCF."
                )
            contig = names.find(columns[0])
            letters = _letters(columns[3], columns[4], columns[8], columns[column])
            if contig is None or letters is None:
                continue
            key = (contig, int(columns[1]))
            found[key] = letters if found.get(key, letters) == letters else None
    if column is None:
        raise PermanentError(f"{path.name} has no line #CHROM; it is no VCF. Upload the fingerprint as VCF.")
    return {key: letters for key, letters in found.items() if letters is not None}


def _readable(lines: IO[str], name: str) -> Iterator[str]:
    """The lines; what cannot be unpacked or decoded is the file's fault."""
    try:
        yield from lines
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise PermanentError(f"{name} is damaged or no VCF: {error}. Upload the fingerprint again.") from error


def _column(header: list[str], sample: str, name: str, number: int) -> int:
    """Where the sample's genotypes are."""
    samples = header[9:]
    if len(samples) == 1:
        return 9
    if samples.count(sample) == 1:
        return 9 + samples.index(sample)
    raise PermanentError(
        f"{name}, line {number:,}: the file has {len(samples)} samples and not exactly one of them is named {sample}. "
        "Upload a VCF with the genotypes of this sample."
    )


def _letters(ref: str, alts: str, keys: str, values: str) -> Letters | None:
    """The two alleles of a genotype as bases; None when it is not two of them."""
    if keys != "GT" and not keys.startswith("GT:"):
        return None
    call = _DIPLOID.fullmatch(values.partition(":")[0])
    if call is None:
        return None
    alleles = [ref.upper(), *alts.upper().split(",")]
    try:
        first, second = sorted((alleles[int(call[1])], alleles[int(call[2])]))
    except IndexError:
        return None
    return (first, second) if first in _BASES and second in _BASES else None
