"""Gene models as bcftools csq reads them: Ensembl-style GFF3, made from Ensembl, GENCODE or NCBI RefSeq files."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from pathlib import Path

from shared.domain.genome import Contig
from shared.errors import PermanentError
from shared.formats.contig_names import ContigNames
from shared.formats.gff3 import Feature, format_row, open_text, read_features


@unique
class Flavour(StrEnum):
    """Who made the file; each writes ids, biotypes and versions in a way of its own."""

    ENSEMBL = "Ensembl"
    GENCODE = "GENCODE"
    REFSEQ = "NCBI RefSeq"


@dataclass(frozen=True, slots=True)
class GeneModelSummary:
    """What was written.

    Attributes:
        flavour: What kind of file was read.
        version: What the file's header says of itself, such as ``Ensembl GRCh38.p14 2025-07``; may be empty.
        genes: Genes written, each with at least one transcript.
        transcripts: Transcripts written.
        coding: Transcripts with a coding sequence among them.
        skipped: Transcripts left out, by reason.
    """

    flavour: Flavour
    version: str
    genes: int
    transcripts: int
    coding: int
    skipped: Mapping[str, int]


@dataclass(slots=True)
class _Transcript:
    row: Feature
    gene: str
    exons: list[Feature] = field(default_factory=list)
    cds: list[Feature] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a flavour says what the output needs."""

    gene_id: Callable[[Feature], str]
    gene_name: Callable[[Feature], str]
    hgnc: Callable[[Feature], str]
    transcript_id: Callable[[Feature], str]
    version: Callable[[Feature], str]
    biotype: Callable[[Feature, Feature], str]


def to_ensembl_gff3(source: Path, out: Path, contigs: Sequence[Contig] = ()) -> GeneModelSummary:
    """Write gene models for `bcftools csq` and for naming: GFF3, sorted, bgzip, with a ``.tbi`` beside it.

    Genes, transcripts, exons, CDS and UTR rows are written; exon-less transcripts, other features and genes on
    contigs that the reference does not have are left out and counted. The output depends on the input's content
    only. It is Ensembl-style with five attributes more: ``hgnc_id`` on genes, and on transcripts ``name`` (the
    id with its version, as reports write it), ``protein`` (the protein's accession), ``mane_select=1`` and
    ``differs=1`` where NCBI says that the transcript's own sequence is not the genome's.

    Args:
        source: GFF3 of Ensembl, GENCODE or NCBI RefSeq, plain or gzip.
        out: File to write, ending in ``.gff3.gz``.
        contigs: The reference's contigs, whose names are written instead of the source's; empty to keep these.

    Raises:
        PermanentError: For a file that is none of these, with file, line and what to do.
    """
    flavour, version = _recognise(source)
    dialect = _DIALECTS[flavour]
    genes, transcripts = _collect(source, flavour)
    names = ContigNames(contigs) if contigs else None
    skipped: Counter[str] = Counter()
    rows: list[tuple[str, int, int, Feature]] = []
    written_genes: set[str] = set()
    seen_ids: set[str] = set()
    coding = 0
    written = 0
    for transcript in transcripts:
        contig = names.find(transcript.row.contig) if names else transcript.row.contig
        if contig is None:
            skipped["its contig is not in the reference"] += 1
            continue
        if not transcript.exons:
            skipped["it has no exons"] += 1
            continue
        gene = genes.get(transcript.gene)
        if gene is None:
            skipped["its parent is no gene"] += 1
            continue
        transcript_id = dialect.transcript_id(transcript.row)
        if transcript_id in seen_ids:
            # The same accession placed twice, as on both pseudoautosomal regions: a name must mean one place.
            skipped["its id is placed elsewhere already"] += 1
            continue
        seen_ids.add(transcript_id)
        gene_id = dialect.gene_id(gene)
        if transcript.gene not in written_genes:
            written_genes.add(transcript.gene)
            rows.append((contig, gene.start, 0, _gene_row(gene, contig, gene_id, dialect)))
        for rank, row in _transcript_rows(transcript, gene, contig, gene_id, transcript_id, dialect, source):
            rows.append((contig, row.start, rank, row))
        written += 1
        coding += bool(transcript.cds)
    if not written:
        raise PermanentError(
            f"{source.name} ({flavour}) has no transcript on a contig of the reference "
            f"({', '.join(names.names[:3]) + ', ...' if names else 'any'}). Is it for another genome build or species?"
        )
    _write(rows, out, names, flavour, version)
    return GeneModelSummary(flavour, version, len(written_genes), written, coding, dict(sorted(skipped.items())))


def gene_models_version(genes: Path) -> str:
    """What the header of prepared gene models says of their origin; empty when it says nothing."""
    with open_text(genes) as lines:
        for line in lines:
            if not line.startswith("#"):
                break
            if line.startswith(_VERSION_LINE):
                return line.removeprefix(_VERSION_LINE).strip()
    return ""


def is_prepared(genes: Path) -> bool:
    """Whether the file was written by `to_ensembl_gff3` and its index is beside it."""
    if not genes.with_name(genes.name + ".tbi").exists():
        return False
    with open_text(genes) as lines:
        return any(line.startswith(_VERSION_LINE) for _, line in zip(range(3), lines, strict=False))


_VERSION_LINE = "#!gene-models "

_GENE_KINDS = frozenset({"gene", "ncRNA_gene", "pseudogene"})
_PART_KINDS = frozenset({"exon", "CDS"})


def _recognise(source: Path) -> tuple[Flavour, str]:
    """Flavour and version, from the header and the first rows."""
    notes: dict[str, str] = {}
    with open_text(source) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                key, _, value = line.lstrip("#!").strip().partition(" ")
                notes.setdefault(key.rstrip(":"), value.strip())
                continue
            columns = line.rstrip("\r\n").split("\t")
            rest = columns[-1]
            if "ID=gene:" in rest or "Parent=gene:" in rest or "Parent=transcript:" in rest:
                flavour = Flavour.ENSEMBL
            elif "gene_type=" in rest:
                flavour = Flavour.GENCODE
            elif "gbkey=" in rest and ("ID=gene-" in rest or "ID=rna-" in rest):
                flavour = Flavour.REFSEQ
            elif number > 100_000:
                break
            else:
                continue
            parts = {
                Flavour.ENSEMBL: (notes.get("genome-version", ""), notes.get("genebuild-last-updated", "")),
                Flavour.GENCODE: (notes.get("description", ""),),
                Flavour.REFSEQ: (notes.get("annotation-source", ""), notes.get("genome-build", "")),
            }[flavour]
            if notes.get("gene-models"):
                return flavour, notes["gene-models"]
            return flavour, " ".join((flavour, *(part for part in parts if part)))
    raise PermanentError(
        f"{source.name} is no GFF3 of Ensembl ('ID=gene:...'), GENCODE ('gene_type=...') or NCBI RefSeq "
        "('ID=gene-...'). Download the annotation of the genome build as GFF3 (not GTF) from one of them."
    )


def _collect(source: Path, flavour: Flavour) -> tuple[dict[str, Feature], list[_Transcript]]:
    """Genes by id, and transcripts with their exons and CDS, in the order of the file."""
    genes: dict[str, Feature] = {}
    transcripts: dict[str, _Transcript] = {}
    parts: list[Feature] = []
    for feature in read_features(source):
        identifier = feature.attributes.get("ID", "")
        parent = feature.attributes.get("Parent", "")
        if feature.kind in _PART_KINDS:
            if parent:
                parts.append(feature)
        elif feature.kind in _GENE_KINDS:
            genes.setdefault(identifier, feature)
        elif identifier and parent and "," not in parent:
            known = transcripts.setdefault(identifier, _Transcript(feature, parent))
            if known.row is not feature and flavour is Flavour.ENSEMBL:
                raise PermanentError(
                    f"{source.name}, line {feature.line:,}: '{identifier}' is already on line {known.row.line:,}. "
                    "Ids must be unique; download the file again."
                )
    for part in parts:
        for parent in part.attributes["Parent"].split(","):
            if transcript := transcripts.get(parent):
                (transcript.exons if part.kind == "exon" else transcript.cds).append(part)
    # Rows of other kinds, such as the start codons of GENCODE, look like transcripts but have no exons of their own.
    return genes, [found for found in transcripts.values() if found.gene in genes or found.exons]


def _gene_row(gene: Feature, contig: str, gene_id: str, dialect: _Dialect) -> Feature:
    attributes = {
        "ID": f"gene:{gene_id}",
        "Name": dialect.gene_name(gene),
        "biotype": dialect.biotype(gene, gene),
    }
    if hgnc := dialect.hgnc(gene):
        attributes["hgnc_id"] = hgnc
    return replace(gene, contig=contig, kind="gene", phase=None, attributes=attributes)


def _transcript_rows(
    transcript: _Transcript,
    gene: Feature,
    contig: str,
    gene_id: str,
    transcript_id: str,
    dialect: _Dialect,
    source: Path,
) -> Iterator[tuple[int, Feature]]:
    """The rows of a transcript, each with its rank among rows that start together."""
    row = transcript.row
    version = dialect.version(row)
    attributes = {
        "ID": f"transcript:{transcript_id}",
        "Parent": f"gene:{gene_id}",
        "biotype": "protein_coding" if transcript.cds else dialect.biotype(row, gene),
        "name": f"{transcript_id}.{version}" if version else transcript_id.removesuffix("_PAR_Y"),
    }
    if not transcript.cds and attributes["biotype"] in {"protein_coding", "mRNA"}:
        attributes["biotype"] = "processed_transcript"
    if "mane_select" in row.attributes or _is_mane_select(row):
        attributes["mane_select"] = "1"
    if row.attributes.get("differs") or _differs(row):
        attributes["differs"] = "1"
    if transcript.cds and (protein := _protein(row, transcript.cds[0])):
        attributes["protein"] = protein
    yield 1, replace(row, contig=contig, kind="transcript", phase=None, attributes=attributes)
    parent = {"Parent": f"transcript:{transcript_id}"}
    exons = sorted(transcript.exons, key=lambda exon: exon.start)
    for exon in exons:
        yield 2, replace(exon, contig=contig, phase=None, attributes=parent)
    if not transcript.cds:
        return
    cds = sorted(transcript.cds, key=lambda part: part.start)
    for part in cds:
        if part.phase is None:
            raise PermanentError(
                f"{source.name}, line {part.line:,}: the CDS row has no phase (column 8). bcftools csq cannot "
                "translate without it; download the file again."
            )
        if not any(exon.start <= part.start and part.end <= exon.end for exon in exons):
            raise PermanentError(
                f"{source.name}, line {part.line:,}: the CDS lies outside the exons of {transcript_id}. "
                "Download the file again."
            )
        yield 3, replace(part, contig=contig, attributes=parent)
    first, last = cds[0].start, cds[-1].end
    sides = (("five_prime_UTR", "three_prime_UTR"), ("three_prime_UTR", "five_prime_UTR"))[row.strand == "-"]
    for exon in exons:
        if exon.start < first:
            utr = replace(exon, kind=sides[0], end=min(exon.end, first), phase=None)
            yield 4, replace(utr, contig=contig, attributes=parent)
        if exon.end > last:
            utr = replace(exon, kind=sides[1], start=max(exon.start, last), phase=None)
            yield 4, replace(utr, contig=contig, attributes=parent)


def _write(
    rows: list[tuple[str, int, int, Feature]],
    out: Path,
    names: ContigNames | None,
    flavour: Flavour,
    version: str,
) -> None:
    from pysam import BGZFile, tabix_index

    order = {name: number for number, name in enumerate(names.names)} if names else {}
    rows.sort(key=lambda row: (order.get(row[0], 0), row[0], row[1], row[2], format_row(row[3])))
    with BGZFile(str(out), "wb") as target:
        target.write(f"##gff-version 3\n{_VERSION_LINE}{version or flavour}\n".encode())
        for row in rows:
            target.write(f"{format_row(row[3])}\n".encode())
    tabix_index(str(out), preset="gff", force=True)


def _protein(row: Feature, cds: Feature) -> str:
    """The protein's accession, with its version where the source tells one."""
    if "protein" in row.attributes:
        return row.attributes["protein"]
    protein = cds.attributes.get("protein_id", "")
    version = cds.attributes.get("version", "")
    return f"{protein}.{version}" if version and "." not in protein else protein


def _is_mane_select(row: Feature) -> bool:
    tags = row.attributes.get("tag", "").replace(" ", "_").split(",")
    return "MANE_Select" in tags


def _differs(row: Feature) -> bool:
    """Whether NCBI says that the transcript's own sequence is not the genome's, so that numbers may not fit."""
    return "discrepancy" in row.attributes.get("exception", "") or "compared to this genomic sequence" in (
        row.attributes.get("Note", "")
    )


def _ensembl_hgnc(gene: Feature) -> str:
    _, found, rest = gene.attributes.get("description", "").partition("Acc:HGNC:")
    number = rest.split("]")[0]
    return f"HGNC:{number}" if found and number.isdigit() else gene.attributes.get("hgnc_id", "")


def _refseq_dbxref(gene: Feature, database: str) -> str:
    references = gene.attributes.get("Dbxref", "").split(",")
    return next((ref.removeprefix(f"{database}:") for ref in references if ref.startswith(f"{database}:")), "")


def _refseq_biotype(row: Feature, gene: Feature) -> str:
    if row is gene or row.kind in {"mRNA", "transcript", "primary_transcript"}:
        biotype = gene.attributes.get("gene_biotype", "")
        return "processed_transcript" if biotype == "protein_coding" and row.kind == "transcript" else biotype
    return "lncRNA" if row.kind == "lnc_RNA" else row.kind


_DIALECTS = {
    Flavour.ENSEMBL: _Dialect(
        gene_id=lambda gene: gene.attributes["ID"].removeprefix("gene:"),
        gene_name=lambda gene: gene.attributes.get("Name") or gene.attributes["ID"].removeprefix("gene:"),
        hgnc=_ensembl_hgnc,
        transcript_id=lambda row: row.attributes["ID"].removeprefix("transcript:"),
        version=lambda row: (
            row.attributes.get("version", "")
            or row.attributes.get("name", "").removeprefix(row.attributes["ID"].removeprefix("transcript:")).lstrip(".")
        ),
        biotype=lambda row, _: row.attributes.get("biotype", ""),
    ),
    Flavour.GENCODE: _Dialect(
        gene_id=lambda gene: gene.attributes["ID"],
        gene_name=lambda gene: gene.attributes.get("gene_name") or gene.attributes["ID"],
        hgnc=lambda gene: gene.attributes.get("hgnc_id", ""),
        transcript_id=lambda row: row.attributes["ID"],
        version=lambda _: "",
        biotype=lambda row, _: row.attributes.get("transcript_type") or row.attributes.get("gene_type", ""),
    ),
    Flavour.REFSEQ: _Dialect(
        gene_id=lambda gene: gene.attributes["ID"].removeprefix("gene-"),
        gene_name=lambda gene: gene.attributes.get("gene") or gene.attributes.get("Name", ""),
        hgnc=lambda gene: _refseq_dbxref(gene, "HGNC"),
        transcript_id=lambda row: row.attributes.get("transcript_id") or row.attributes["ID"].removeprefix("rna-"),
        version=lambda _: "",
        biotype=_refseq_biotype,
    ),
}
