"""The annotated VCF: its INFO fields, and reading it. One ALT allele a record. cyvcf2 is imported on reading."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from shared.domain.genome import Contig
from shared.domain.variant import Allele, AnnotatedVariant, ClinVarRecord, Consequence, Zygosity
from shared.errors import PermanentError
from shared.formats.bcsq import BcsqEntry, parse_bcsq, severity
from shared.formats.contig_names import is_mitochondrial

DEPTH_SUM = "SAD"
"""FORMAT field: reads of all alleles of the site. Splitting a site spreads them over its records."""

INFO_LINES = (
    (
        '##INFO=<ID=BCSQ,Number=.,Type=String,Description="Consequence by bcftools csq: of the haplotype where '
        "alleles are phased or homozygous, of the allele alone otherwise. Format: "
        'Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change">'
    ),
    (
        '##INFO=<ID=HGVS,Number=.,Type=String,Description="HGVS names by transcript of BCSQ. Format: '
        'transcript|transcript with version|gene id|coding or n. name|protein name. Percent-encoded">'
    ),
    '##INFO=<ID=HGVSg,Number=1,Type=String,Description="Genomic HGVS name. Percent-encoded">',
    '##INFO=<ID=CLINVAR_ID,Number=1,Type=String,Description="ClinVar VariationID of exactly this allele">',
    '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="ClinVar germline classification">',
    '##INFO=<ID=CLNREVSTAT,Number=.,Type=String,Description="ClinVar review status">',
    '##INFO=<ID=CLNDN,Number=.,Type=String,Description="ClinVar conditions, separated by a bar">',
    '##INFO=<ID=CLNDISDB,Number=.,Type=String,Description="ClinVar condition codes, separated by a bar">',
    '##INFO=<ID=RS,Number=.,Type=String,Description="dbSNP number, without rs">',
)
"""Header lines of the fields that the annotation writes."""

FORMAT_LINE = (
    f'##FORMAT=<ID={DEPTH_SUM},Number=1,Type=Integer,Description="Reads of all alleles of the site (sum of AD before '
    'it was split)">'
)

_BASES = frozenset("ACGT")
_ENCODED = str.maketrans({character: f"%{ord(character):02X}" for character in "%=,;| "})


@dataclass(frozen=True, slots=True)
class TranscriptNames:
    """What the HGVS field says of one transcript of BCSQ."""

    transcript: str
    name: str
    gene_id: str
    coding: str
    protein: str

    def __str__(self) -> str:
        fields = (self.transcript, self.name, self.gene_id, self.coding, self.protein)
        return "|".join(encoded(field) for field in fields)


def encoded(text: str) -> str:
    """Text as an INFO value may hold it (VCF 4.3, 1.2)."""
    return text.translate(_ENCODED)


def is_sequence(alt: str) -> bool:
    """Whether an ALT is written in bases; ``*``, ``<DEL>`` and breakends are not."""
    return bool(alt) and _BASES.issuperset(alt.upper())


def read_annotated(vcf: Path, contigs: Sequence[Contig]) -> Iterator[AnnotatedVariant]:
    """The ALT alleles that the sample carries, in the order of an annotated VCF.

    Args:
        vcf: Made by `annotate_vcf`, with one sample.
        contigs: Of the reference.

    Raises:
        PermanentError: When a record lies on a contig that the reference does not have, or holds several ALTs.
    """
    from cyvcf2 import VCF

    known = {contig.name for contig in contigs}
    mitochondria = {contig.name for contig in contigs if is_mitochondrial(contig)}
    reader = VCF(str(vcf))
    try:
        has_genes = "##annotation=<ID=genes," in reader.raw_header
        for record in reader:
            if record.CHROM not in known or len(record.ALT) > 1:
                raise PermanentError(
                    f"{vcf.name} has {record.CHROM}:{record.POS} with {len(record.ALT)} ALT alleles, which is not on "
                    "the reference or not split. Annotate the variants again, with the analysis's own reference."
                )
            zygosity = _zygosity(record, in_mitochondrion=record.CHROM in mitochondria)
            if zygosity is not None and record.ALT and is_sequence(record.ALT[0]):
                yield _variant(record, zygosity, has_genes=has_genes)
    finally:
        reader.close()


def _variant(record: Any, zygosity: Zygosity, *, has_genes: bool) -> AnnotatedVariant:
    info = record.INFO
    allele_depth, depth_sum = _allele_depths(record)
    return AnnotatedVariant(
        allele=Allele(record.CHROM, record.POS, record.REF, record.ALT[0]),
        filters=tuple(record.FILTERS),
        qual=float(record.QUAL or 0.0),
        zygosity=zygosity,
        depth=_number(record, "DP") or 0,
        allele_depth=allele_depth,
        allele_fraction=round(allele_depth / depth_sum, 6) if depth_sum else 0.0,
        genotype_quality=_number(record, "GQ"),
        hgvs_g=unquote(info.get("HGVSg") or ""),
        consequences=_consequences(info.get("BCSQ") or "", info.get("HGVS") or "") if has_genes else (),
        clinvar=_clinvar(info),
    )


def _consequences(bcsq: str, hgvs: str) -> tuple[Consequence, ...]:
    entries = parse_bcsq(bcsq)[0] if bcsq else []
    if not entries:
        return (Consequence(("intergenic_variant",), gene=""),)
    names: dict[str, TranscriptNames] = {}
    for part in hgvs.split(",") if hgvs else ():
        fields = TranscriptNames(*(unquote(field) for field in part.split("|")))
        names[fields.transcript] = fields
    # The sort is stable: within one severity, the order of the file, which puts the preferred transcript first.
    found = [_consequence(entry, names) for entry in entries]
    return tuple(sorted(found, key=lambda consequence: severity(consequence.terms[0])))


def _consequence(entry: BcsqEntry, names: Mapping[str, TranscriptNames]) -> Consequence:
    named = names.get(entry.transcript, TranscriptNames(entry.transcript, entry.transcript, "", "", ""))
    return Consequence(
        terms=entry.terms,
        gene=entry.gene,
        gene_id=named.gene_id,
        transcript=named.name,
        biotype=entry.biotype,
        hgvs_c=named.coding,
        hgvs_p=named.protein,
    )


def _clinvar(info: Any) -> ClinVarRecord | None:
    identifier = info.get("CLINVAR_ID")
    if identifier is None:
        return None
    number = str(info.get("RS") or "").split(",")[0].split("|")[0]
    conditions = str(info.get("CLNDN") or "")
    codes = str(info.get("CLNDISDB") or "")
    return ClinVarRecord(
        variation_id=str(identifier),
        significance=str(info.get("CLNSIG") or ""),
        review_status=str(info.get("CLNREVSTAT") or ""),
        conditions=tuple(name.replace("_", " ") for name in conditions.split("|") if name not in {"", "."}),
        condition_codes=tuple(code for group in codes.split("|") for code in group.split(",") if code not in {"", "."}),
        dbsnp=f"rs{number}" if number else "",
    )


def _zygosity(record: Any, *, in_mitochondrion: bool) -> Zygosity | None:
    """From GT; None when the sample does not carry the allele. A half-missing ``./1`` counts as one copy."""
    *alleles, _ = record.genotypes[0]
    copies = alleles.count(1)
    if not copies:
        return None
    if len(alleles) == 1:
        return Zygosity.HOMOPLASMIC if in_mitochondrion else Zygosity.HEMIZYGOUS
    return Zygosity.HOMOZYGOUS if copies == len(alleles) else Zygosity.HETEROZYGOUS


def _allele_depths(record: Any) -> tuple[int, int]:
    """Reads of the ALT, and of all alleles of the site."""
    depths = record.format("AD") if "AD" in record.FORMAT else None
    if depths is None or len(depths[0]) < 2:
        return 0, 0
    counts = [max(0, int(count)) for count in depths[0][:2]]
    return counts[1], _number(record, DEPTH_SUM) or sum(counts)


def _number(record: Any, key: str) -> int | None:
    """A FORMAT value of the sample; None when it is missing (negative in cyvcf2)."""
    values = record.format(key) if key in record.FORMAT else None
    if values is None:
        return None
    value = float(values[0][0])
    return round(value) if value >= 0 else None
