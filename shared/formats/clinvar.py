"""ClinVar's VCF: prepared once for a reference, then looked up by exact allele."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.domain.genome import Contig
from shared.errors import PermanentError
from shared.formats.bcftools import run_bcftools
from shared.formats.contig_names import ContigNames
from shared.formats.gff3 import open_text

KEYS = ("CLNSIG", "CLNREVSTAT", "CLNDN", "CLNDISDB", "RS")
"""INFO fields that the annotation takes over, as ClinVar writes them."""

_BASES = frozenset("ACGT")


@dataclass(frozen=True, slots=True)
class ClinVarSummary:
    """What was written.

    Attributes:
        version: ClinVar's ``##fileDate``; empty when the file has none.
        records: Records read.
        written: Records written; one per normalised ALT allele.
        other_contigs: Records left out because the reference has no such contig.
        no_alleles: Records left out because REF or ALT are no bases (ClinVar has some with ``.``).
        wrong_reference: Records refused because REF is not what the reference FASTA has there.
        wrong_example: The first of these; empty when there is none.
    """

    version: str
    records: int
    written: int
    other_contigs: int
    no_alleles: int
    wrong_reference: int
    wrong_example: str


def prepare_clinvar(source: Path, fasta: Path, contigs: Sequence[Contig], out: Path) -> ClinVarSummary:
    """Write ClinVar's alleles as the reference needs them: its contig names, split, left-aligned, bgzip and ``.tbi``.

    Args:
        source: ClinVar's VCF, plain or gzip.
        fasta: The reference, with its ``.fai``.
        contigs: The reference's contigs.
        out: File to write, ending in ``.vcf.gz``.

    Raises:
        PermanentError: When the file is no VCF, or when so many records disagree with the FASTA (more than one in a
            hundred) that it must be made for another genome build.
    """
    from pysam import FastaFile, tabix_index

    renamed = out.with_name(out.name + ".renamed.vcf")
    normalised = out.with_name(out.name + ".normalised.vcf.gz")
    counts: Counter[str] = Counter()
    example = ""
    names = ContigNames(contigs)
    version = ""
    try:
        with open_text(source) as lines, renamed.open("w", encoding="utf-8") as target:
            fasta_file = FastaFile(str(fasta))
            for number, line in enumerate(lines, 1):
                if line.startswith("#"):
                    version = line[11:].strip() if line.startswith("##fileDate=") else version
                    if line.startswith("#CHROM"):
                        target.writelines(f"##contig=<ID={contig.name},length={contig.length}>\n" for contig in contigs)
                    if not line.startswith(("##contig", "##reference")):
                        target.write(line)
                    continue
                columns = line.rstrip("\n").split("\t")
                if number == 1 or len(columns) < 8:
                    raise PermanentError(
                        f"{source.name}, line {number:,}: this is no VCF. Download clinvar.vcf.gz of the genome "
                        "build from NCBI again."
                    )
                counts["records"] += 1
                contig = names.find(columns[0])
                ref, alt = columns[3].upper(), columns[4].upper()
                if contig is None:
                    counts["other_contigs"] += 1
                elif not ref or not alt or not _BASES.issuperset(ref) or not _BASES.issuperset(alt.replace(",", "")):
                    counts["no_alleles"] += 1
                elif (
                    found := fasta_file.fetch(contig, int(columns[1]) - 1, int(columns[1]) - 1 + len(ref)).upper()
                ) != ref:
                    counts["wrong_reference"] += 1
                    example = example or (
                        f"line {number:,}: {columns[0]}:{columns[1]} has REF {ref[:20]}, the reference {found[:20]}"
                    )
                else:
                    target.write("\t".join((contig, *columns[1:3], ref, alt, *columns[5:])) + "\n")
        usable = counts["records"] - counts["other_contigs"] - counts["no_alleles"]
        if counts["wrong_reference"] * 100 > usable:
            raise PermanentError(
                f"{source.name}: {counts['wrong_reference']:,} of {usable:,} records disagree with {fasta.name} "
                f"({example}). Download ClinVar for this genome build."
            )
        # Sorting follows normalising: records that move left may pass others that bcftools has written already.
        run_bcftools("norm", "--no-version", "-m", "-any", "-f", str(fasta), "-Oz", "-o", str(normalised), str(renamed))
        run_bcftools("sort", "-T", str(out.parent / f"{out.name}.sort"), "-Oz", "-o", str(out), str(normalised))
        written = _without_command_lines(out)
        tabix_index(str(out), preset="vcf", force=True)
    finally:
        renamed.unlink(missing_ok=True)
        normalised.unlink(missing_ok=True)
    return ClinVarSummary(
        version,
        counts["records"],
        written,
        counts["other_contigs"],
        counts["no_alleles"],
        counts["wrong_reference"],
        example,
    )


class ClinVarTable:
    """Looks alleles up in a ClinVar VCF made by `prepare_clinvar`."""

    def __init__(self, path: Path, contigs: Sequence[Contig]) -> None:
        from pysam import TabixFile

        self._tabix: Any = TabixFile(str(path))
        names = ContigNames(contigs)
        self._names = {names.find(name): name for name in self._tabix.contigs}
        self.version = next((line[11:].strip() for line in self._tabix.header if line.startswith("##fileDate=")), "")

    def alleles(self, contig: str, start: int, end: int) -> dict[tuple[int, str, str], dict[str, str]]:
        """Records by (pos, REF, ALT), pos 1-based, that start in a stretch (0-based half-open) of a contig.

        A record is its INFO fields among `KEYS` and its VariationID as ``CLINVAR_ID``. Where ClinVar has an allele
        twice, the lower id names it and the classifications are joined by ``/``, so that a conflict shows.
        """
        name = self._names.get(contig)
        if name is None:
            return {}
        found: dict[tuple[int, str, str], dict[str, str]] = {}
        for line in self._tabix.fetch(name, start, end):
            _, pos, identifier, ref, alt, _, _, info, *_ = line.split("\t")
            if not start < int(pos) <= end:
                continue
            fields = dict(field.partition("=")[::2] for field in info.split(";"))
            record = {"CLINVAR_ID": identifier} | {key: fields[key] for key in KEYS if fields.get(key, ".") != "."}
            key = (int(pos), ref, alt)
            found[key] = _joined(found[key], record) if key in found else record
        return found


def _joined(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    low, high = sorted((first, second), key=lambda record: (len(record["CLINVAR_ID"]), record["CLINVAR_ID"]))
    terms = [*low.get("CLNSIG", "").split("/"), *high.get("CLNSIG", "").split("/")]
    joined = "/".join(dict.fromkeys(term for term in terms if term))
    return {**low, **({"CLNSIG": joined} if joined else {})}


def _without_command_lines(path: Path) -> int:
    """Take out of the header what tells of commands and paths; how many records the file has."""
    from pysam import BGZFile

    plain = path.with_name(path.name + ".plain.gz")
    records = 0
    with open_text(path) as lines, BGZFile(str(plain), "wb") as target:
        for line in lines:
            if line.startswith("##bcftools_"):
                continue
            records += not line.startswith("#")
            target.write(line.encode())
    plain.replace(path)
    return records
