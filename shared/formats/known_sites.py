"""Places that are known to vary (dbSNP, Mills): what base quality recalibration must not take for errors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.domain.genome import Contig
from shared.errors import PermanentError
from shared.formats.contig_names import ContigNames
from shared.formats.gff3 import open_text

_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@dataclass(frozen=True, slots=True)
class KnownSitesSummary:
    """What was written.

    Attributes:
        version: The file's `##dbSNP_BUILD_ID` or `##fileDate`; empty when it has neither.
        written: Records written.
        other_contigs: Records left out because the reference has no such contig.
        wrong_reference: Records left out because REF is not what the reference FASTA has there.
    """

    version: str
    written: int
    other_contigs: int
    wrong_reference: int


def prepare_known_sites(source: Path, fasta: Path, contigs: Sequence[Contig], out: Path) -> KnownSitesSummary:
    """Write the sites as the reference needs them: its contig names, no genotypes, bgzip and `.tbi`.

    Args:
        source: A VCF, plain or gzip, sorted by position within each contig.
        fasta: The reference, with its ``.fai``.
        contigs: The reference's contigs.
        out: File to write, ending in ``.vcf.gz``.

    Raises:
        PermanentError: When the file is no sorted VCF, or when so many records disagree with the FASTA (more than one
            in a hundred) that it must be made for another genome build.
    """
    from pysam import BGZFile, FastaFile, tabix_index

    names = ContigNames(contigs)
    counts: Counter[str] = Counter()
    build = date = example = ""
    letters, held = "", ""
    last: tuple[str, int] = ("", 0)
    done: set[str] = set()
    with open_text(source) as lines, FastaFile(str(fasta)) as reference, BGZFile(str(out), "wb") as target:
        target.write(b"##fileformat=VCFv4.2\n")
        target.write("".join(f"##contig=<ID={c.name},length={c.length}>\n" for c in contigs).encode())
        target.write(_COLUMNS.encode())
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                build = line.partition("=")[2].strip() if line.startswith("##dbSNP_BUILD_ID=") else build
                date = line.partition("=")[2].strip() if line.startswith("##fileDate=") else date
                continue
            columns = line.rstrip("\n").split("\t", 5)
            if number == 1 or len(columns) < 5 or not columns[1].isdigit():
                raise PermanentError(
                    f"{source.name}, line {number:,}: this is no VCF. Give a VCF of known sites, such as dbSNP's."
                )
            contig = names.find(columns[0])
            if contig is None:
                counts["other_contigs"] += 1
                continue
            pos, ref = int(columns[1]), columns[3].upper()
            if contig != last[0]:
                done.add(last[0])
            if contig in done or (contig == last[0] and pos < last[1]):
                raise PermanentError(
                    f"{source.name}, line {number:,}: {columns[0]}:{pos} comes after {last[0]}:{last[1]}; the file is "
                    "not sorted. Sort it (bcftools sort) and make the bundle again."
                )
            last = (contig, pos)
            if contig != held:
                letters, held = reference.fetch(contig).upper(), contig
            found = letters[pos - 1 : pos - 1 + len(ref)]
            if found != ref:
                counts["wrong_reference"] += 1
                example = (
                    example or f"line {number:,}: {columns[0]}:{pos} has REF {ref[:20]}, the reference {found[:20]}"
                )
                continue
            counts["written"] += 1
            target.write(f"{contig}\t{pos}\t{columns[2]}\t{ref}\t{columns[4]}\t.\t.\t.\n".encode())
    usable = counts["written"] + counts["wrong_reference"]
    if not usable or counts["wrong_reference"] * 100 > usable:
        raise PermanentError(
            f"{source.name}: {counts['wrong_reference']:,} of {usable:,} records on contigs of {fasta.name} disagree "
            f"with it ({example or 'there are none'}). Give known sites of this genome build."
        )
    tabix_index(str(out), preset="vcf", force=True)
    version = f"dbSNP {build}" if build else date
    return KnownSitesSummary(version, counts["written"], counts["other_contigs"], counts["wrong_reference"])
