"""Annotate a called VCF: consequences, HGVS names, ClinVar.

Heavy libraries are imported when they are used. The order of the steps: splitting and left-aligning comes first,
because consequences, names and ClinVar are all about one normalised allele.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.domain.genome import Contig
from shared.errors import LedgerError, PermanentError
from shared.formats.annotated_vcf import (
    DEPTH_SUM,
    FORMAT_LINE,
    INFO_LINES,
    is_sequence,
    read_annotated,
)
from shared.formats.bcftools import htslib_versions, run_bcftools
from shared.formats.clinvar import ClinVarTable
from shared.formats.contig_names import is_mitochondrial
from shared.formats.gene_models import gene_models_version, is_prepared, to_ensembl_gff3
from shared.formats.gff3 import open_text
from shared.steps.annotate_batch import ANCHOR_ID, LOCAL_TAG, BatchAnnotator, Line, compound_entries

__all__ = ["AnnotationFiles", "AnnotationSummary", "annotate_vcf", "read_annotated"]

_VARYING_HEADER = re.compile(
    r"##(bcftools_\w+|samtools\w*|fileDate|reference|commandline|GATKCommandLine|contig|SnpEff\w*)\b", re.IGNORECASE
)
"""Header lines that hold dates, paths or command lines, and contigs, which are written from the reference."""

_MITOCHONDRIAL_CODE = "2"
"""NCBI translation table 2, the vertebrate mitochondrial code."""

_BATCH = 1000
"""Records annotated together: enough that loading transcripts costs little, few enough that memory stays flat."""


@dataclass(frozen=True, slots=True)
class AnnotationFiles:
    """Local files of a reference bundle.

    Attributes:
        fasta: Reference, with its ``.fai`` beside it.
        genes: Gene models, as `gene_models.to_ensembl_gff3` writes them with the ``.tbi`` beside them; any other
            GFF3 that it can read is converted first, which takes its time again on each run.
        clinvar: As `clinvar.prepare_clinvar` writes it, with the ``.tbi`` beside it.
    """

    fasta: Path
    genes: Path | None = None
    clinvar: Path | None = None


@dataclass(frozen=True, slots=True)
class AnnotationSummary:
    """What was annotated.

    Attributes:
        records: Records of the input; each is in the output, once per ALT allele.
        alleles: ALT alleles, written in bases, that the sample carries; `read_annotated` yields as many.
        skipped: ALT alleles that are not written in bases (``<DEL>``, breakends), which are left out.
        versions: Programs and knowledge, by name.
    """

    records: int
    alleles: int
    skipped: int
    versions: dict[str, str]


def annotate_vcf(
    vcf: Path, reference: AnnotationFiles, contigs: Sequence[Contig], sample: str, out: Path
) -> AnnotationSummary:
    """Write an annotated VCF (bgzip) and its ``.tbi``; the same inputs give the same bytes.

    Args:
        vcf: Called variants of one sample, plain or bgzip, in the order of the reference.
        reference: What to annotate with; without genes there are no consequences, without ClinVar no records.
        contigs: Of the reference, in its order.
        sample: The VCF's only sample.
        out: File to write, ending in ``.vcf.gz``.

    Raises:
        PermanentError: When the VCF is of another sample or reference, or is broken.
        LedgerError: When alleles were lost or doubled on the way.
    """
    with TemporaryDirectory(dir=out.parent, prefix="annotate-") as folder:
        scratch = Path(folder)
        taken = _take_in(vcf, reference.fasta, contigs, sample, scratch / "input.vcf")
        normalised = scratch / "normalised.bcf"
        run_bcftools(
            "norm", "--no-version", "-m", "-any", "-f", str(reference.fasta), "-Ou", "-o", str(normalised),
            str(scratch / "input.vcf"),
        )  # fmt: skip
        genes = _prepared(reference.genes, contigs, scratch) if reference.genes else None
        clinvar = ClinVarTable(reference.clinvar, contigs) if reference.clinvar else None
        versions = {"bcftools": htslib_versions()["bcftools"]}
        if genes:
            from ferro_hgvs import __version__ as ferro_version

            versions |= {"ferro-hgvs": ferro_version, "genes": gene_models_version(genes) or "unknown"}
        if clinvar:
            versions["clinvar"] = clinvar.version or "unknown"
        consequences = _consequences(normalised, reference.fasta, genes, contigs, taken.contigs, scratch)
        annotator = BatchAnnotator(reference.fasta, genes, clinvar, contigs, scratch)
        annotator.compounds = compound_entries(consequences)
        carried = _write(consequences, annotator, versions, out)
    if carried != taken.alleles:
        raise LedgerError(
            f"{vcf.name}: the sample carries {taken.alleles:,} ALT alleles in the called VCF and {carried:,} in the "
            "annotated one. Nothing is released; report this as a fault of the pipeline."
        )
    return AnnotationSummary(taken.records, carried, taken.skipped, versions)


@dataclass(frozen=True, slots=True)
class _Taken:
    records: int
    alleles: int
    skipped: int
    contigs: frozenset[str]


def _take_in(vcf: Path, fasta: Path, contigs: Sequence[Contig], sample: str, target: Path) -> _Taken:
    """Check the called VCF and copy it: a header that always reads the same, and the sites' depths kept.

    Each contig begins with a record without ALT at pos 1, which `read_lines` leaves out again: bcftools csq keeps the
    first pos of a contig in a static variable, so that in one process a second file is refused as unsorted when it
    begins before the first one did. With such a record, all begin at 1.
    """
    from pysam import FastaFile

    bases = FastaFile(str(fasta))
    known = {contig.name for contig in contigs}
    records = alleles = skipped = 0
    seen: set[str] = set()
    with open_text(vcf) as lines, target.open("w", encoding="utf-8") as copy:
        for number, line in enumerate(lines, 1):
            if line.startswith("##"):
                if not _VARYING_HEADER.match(line):
                    copy.write(line)
                continue
            if line.startswith("#CHROM"):
                _check_sample(line, sample, vcf)
                copy.writelines(f"##contig=<ID={contig.name},length={contig.length}>\n" for contig in contigs)
                copy.write(f"{FORMAT_LINE}\n{line}")
                continue
            columns = line.rstrip("\n").split("\t")
            if len(columns) != 10 or columns[0] not in known:
                raise PermanentError(
                    f"{vcf.name}, line {number:,}: expected 10 columns and a contig of the reference, found "
                    f"{len(columns)} columns and '{columns[0][:50]}'. Were the variants called against another "
                    "reference bundle?"
                )
            records += 1
            alts = columns[4].split(",")
            if any(not is_sequence(alt) and alt != "*" for alt in alts):
                # bcftools norm moves symbolic alleles without END to the contig's start: they are counted, not named.
                skipped += len(alts)
                continue
            columns[3:5] = columns[3].upper(), columns[4].upper()
            if columns[0] not in seen:
                seen.add(columns[0])
                base = bases.fetch(columns[0], 0, 1).upper()
                copy.write(f"{columns[0]}\t1\t{ANCHOR_ID}\t{base}\t.\t.\t.\t.\tGT\t./.\n")
            values = dict(zip(columns[8].split(":"), columns[9].split(":"), strict=False))
            called = {int(copy) for copy in re.split(r"[/|]", values.get("GT", ".")) if copy.isdigit()}
            alleles += sum(1 for index in called if index > 0 and alts[index - 1] != "*")
            depths = [int(depth) for depth in values.get("AD", ".").split(",") if depth.isdigit()]
            if depths:
                columns[8] += f":{DEPTH_SUM}"
                # Trailing missing values may have been left out; every key needs its value before another is added.
                given = [values.get(key, ".") for key in columns[8].split(":")[:-1]]
                columns[9] = ":".join([*given, str(sum(depths))])
            copy.write("\t".join(columns) + "\n")
    return _Taken(records, alleles, skipped, frozenset(seen))


def _check_sample(line: str, sample: str, vcf: Path) -> None:
    samples = line.rstrip("\n").split("\t")[9:]
    if samples != [sample]:
        raise PermanentError(
            f"{vcf.name} has {len(samples)} sample columns and not exactly the one of the analysis. "
            "Check which files were gathered."
        )


def _prepared(genes: Path, contigs: Sequence[Contig], scratch: Path) -> Path:
    if is_prepared(genes):
        return genes
    converted = scratch / "genes.gff3.gz"
    to_ensembl_gff3(genes, converted, contigs)
    return converted


def _consequences(
    normalised: Path,
    fasta: Path,
    genes: Path | None,
    contigs: Sequence[Contig],
    present: frozenset[str],
    scratch: Path,
) -> list[Path]:
    """VCF files with consequences, in the order of the reference: the nucleus's, and the mitochondrion's apart.

    Each allele is translated alone (for its names) and, where phase is known, with its haplotype: an unphased pair of
    heterozygous alleles is never taken to lie on one chromosome, which could hide two hits in one gene.
    """
    if genes is None:
        plain = scratch / "plain.vcf"
        run_bcftools("view", "--no-version", "-Ov", "-o", str(plain), str(normalised))
        return [plain]
    mitochondria = [contig.name for contig in contigs if is_mitochondrial(contig) and contig.name in present]
    parts: list[tuple[str, str]] = [("nucleus", "^" + ",".join(mitochondria))] if mitochondria else [("all", "")]
    parts += [("mitochondrion", ",".join(mitochondria))] if mitochondria else []
    results: list[Path] = []
    for name, targets in parts:
        code = ("-C", _MITOCHONDRIAL_CODE) if name == "mitochondrion" else ()
        alone, whole = scratch / f"{name}.alone.bcf", scratch / f"{name}.vcf"
        # --force: contigs without genes, and single transcripts that make no sense, are passed over.
        common = ("csq", "--no-version", "--force", "-f", str(fasta), "-g", str(genes), *code)
        only = ("-t", targets) if targets else ()
        run_bcftools(
            *common, *only, "--local-csq", "-s", "-", "-c", LOCAL_TAG, "-Ou", "-o", str(alone), str(normalised)
        )
        # 512 consequences a site: the default of 15 is fewer than some genes have transcripts.
        run_bcftools(*common, "-p", "s", "--ncsq", "512", "-c", "BCSQ", "-Ov", "-o", str(whole), str(alone))
        results.append(whole)
    return results


def _write(sources: Sequence[Path], annotator: BatchAnnotator, versions: dict[str, str], out: Path) -> int:
    """Write the annotated VCF and its index; how many alleles the sample carries in it."""
    from pysam import BGZFile, tabix_index

    carried = 0
    with BGZFile(str(out), "wb") as target:
        target.write(_header(sources[0], versions).encode())
        for batch in _batches(annotator.ordered(sources)):
            for line in annotator.annotate(batch):
                carried += line.is_carried
                target.write(f"{line.text()}\n".encode())
    tabix_index(str(out), preset="vcf", force=True)
    return carried


def _header(source: Path, versions: dict[str, str]) -> str:
    ours = {_field(line) for line in INFO_LINES} | {LOCAL_TAG}
    head: list[str] = []
    with open_text(source) as lines:
        for line in lines:
            if not line.startswith("##"):
                described = (f'##annotation=<ID={name},Version="{value}">' for name, value in sorted(versions.items()))
                return "\n".join((*head, *INFO_LINES, *described, line.rstrip("\n"))) + "\n"
            if _field(line) not in ours:
                head.append(line.rstrip("\n"))
    raise PermanentError("The called VCF has no line '#CHROM'. The file is cut off; gather the variants again.")


def _field(line: str) -> str:
    """The INFO or FORMAT field that a header line describes; empty for other lines."""
    match = re.match(r"##(?:INFO|FORMAT)=<ID=([^,>]+)", line)
    return match[1] if match else ""


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Consecutive records of one contig."""
    batch: list[Line] = []
    for line in lines:
        if batch and (len(batch) == _BATCH or line.contig != batch[0].contig):
            yield batch
            batch = []
        batch.append(line)
    if batch:
        yield batch
