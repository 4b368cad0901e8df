"""Synthetic knowledge in the format of ClinVar's VCF, header included; no record of it is ClinVar's."""

from collections.abc import Iterable

from infra.local.demo_genome import DemoGenome
from shared.domain.variant import Allele

FIRST_VARIATION_ID = 9_000_001
"""VariationIDs of the demo count from here."""

_HEADER = """\
##fileformat=VCFv4.1
##fileDate=2026-01-01
##source=ClinVar
##reference=demo
##ID=<Description="ClinVar Variation ID">
##INFO=<ID=AF_ESP,Number=1,Type=Float,Description="allele frequencies from GO-ESP">
##INFO=<ID=AF_EXAC,Number=1,Type=Float,Description="allele frequencies from ExAC">
##INFO=<ID=AF_TGP,Number=1,Type=Float,Description="allele frequencies from TGP">
##INFO=<ID=ALLELEID,Number=1,Type=Integer,Description="the ClinVar Allele ID">
##INFO=<ID=CLNDN,Number=.,Type=String,Description="ClinVar's preferred disease name for the concept specified by \
disease identifiers in CLNDISDB">
##INFO=<ID=CLNDNINCL,Number=.,Type=String,Description="For included Variant : ClinVar's preferred disease name for \
the concept specified by disease identifiers in CLNDISDB">
##INFO=<ID=CLNDISDB,Number=.,Type=String,Description="Tag-value pairs of disease database name and identifier \
submitted for germline classifications, e.g. OMIM:NNNNNN">
##INFO=<ID=CLNDISDBINCL,Number=.,Type=String,Description="For included Variant: Tag-value pairs of disease database \
name and identifier for germline classifications, e.g. OMIM:NNNNNN">
##INFO=<ID=CLNHGVS,Number=.,Type=String,Description="Top-level (primary assembly, alt, or patch) HGVS expression.">
##INFO=<ID=CLNREVSTAT,Number=.,Type=String,Description="ClinVar review status of germline classification for the \
Variation ID">
##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Aggregate germline classification for this single variant; \
multiple values are separated by a vertical bar">
##INFO=<ID=CLNSIGCONF,Number=.,Type=String,Description="Conflicting germline classification for this single variant; \
multiple values are separated by a vertical bar">
##INFO=<ID=CLNSIGINCL,Number=.,Type=String,Description="Germline classification for a haplotype or genotype that \
includes this variant. Reported as pairs of VariationID:classification; multiple values are separated by a vertical \
bar">
##INFO=<ID=CLNVC,Number=1,Type=String,Description="Variant type">
##INFO=<ID=CLNVCSO,Number=1,Type=String,Description="Sequence Ontology id for variant type">
##INFO=<ID=CLNVI,Number=.,Type=String,Description="the variant's clinical sources reported as tag-value pairs of \
database and variant identifier">
##INFO=<ID=DBVARID,Number=.,Type=String,Description="nsv accessions from dbVar for the variant">
##INFO=<ID=GENEINFO,Number=1,Type=String,Description="Gene(s) for the variant reported as gene symbol:gene id. The \
gene symbol and id are delimited by a colon (:) and each pair is delimited by a vertical bar (|)">
##INFO=<ID=MC,Number=.,Type=String,Description="comma separated list of molecular consequence in the form of \
Sequence Ontology ID|molecular_consequence">
##INFO=<ID=ORIGIN,Number=.,Type=String,Description="Allele origin. One or more of the following values may be added: \
0 - unknown; 1 - germline; 2 - somatic; 4 - inherited; 8 - paternal; 16 - maternal; 32 - de-novo; 64 - biparental; \
128 - uniparental; 256 - not-tested; 512 - tested-inconclusive; 1073741824 - other">
##INFO=<ID=RS,Number=.,Type=String,Description="dbSNP ID (i.e. rs number)">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""
"""As ClinVar writes it: there are no contig lines."""

_REVIEWS = {
    "Pathogenic": "reviewed_by_expert_panel",
    "Likely_pathogenic": "criteria_provided,_single_submitter",
    "Benign": "criteria_provided,_multiple_submitters,_no_conflicts",
    "Conflicting_classifications_of_pathogenicity": "criteria_provided,_conflicting_classifications",
}


def clinvar_vcf(genome: DemoGenome, known: Iterable[tuple[Allele, int, str, str]]) -> str:
    """Records in the format of ClinVar; `known` as in `Donor`, in genome order."""
    names = {gene.number: gene.name for gene in genome.genes}
    rows = []
    for number, (allele, gene, significance, consequence) in enumerate(known):
        is_snv = len(allele.ref) == len(allele.alt) == 1
        info = {
            "ALLELEID": str(8_000_001 + number),
            "CLNDISDB": "not_provided",
            "CLNDN": "not_provided",
            "CLNHGVS": "",
            "CLNREVSTAT": _REVIEWS.get(significance, "criteria_provided,_single_submitter"),
            "CLNSIG": significance,
            "CLNSIGCONF": "",
            "CLNVC": "single_nucleotide_variant" if is_snv else _indel_kind(allele),
            "CLNVCSO": "SO:0001483"
            if is_snv
            else {"Deletion": "SO:0000159", "Insertion": "SO:0000667"}[_indel_kind(allele)],
            "GENEINFO": f"{names[gene]}:{900_000_000 + gene}" if gene else "",
            "MC": consequence,
            "ORIGIN": "1",
            "RS": str(2_000_000_001 + number),
        }
        if is_snv:
            info["CLNHGVS"] = f"{allele.contig}:g.{allele.pos}{allele.ref}>{allele.alt}"
        if "athogenic" in significance:
            condition = f"Demonstration_syndrome_type_{gene}"
            info["CLNDN"] = f"{condition}|not_provided"
            info["CLNDISDB"] = f"MONDO:MONDO:{9_900_000 + gene},MedGen:CDEMO{gene:04d}|MedGen:C3661900"
        if significance.startswith("Conflicting"):
            info["CLNSIGCONF"] = "Pathogenic(1)|Uncertain_significance(2)"
        text = ";".join(f"{key}={value}" for key, value in info.items() if value)
        variation = FIRST_VARIATION_ID + number
        rows.append(f"{allele.contig}\t{allele.pos}\t{variation}\t{allele.ref}\t{allele.alt}\t.\t.\t{text}\n")
    return _HEADER + "".join(rows)


def _indel_kind(allele: Allele) -> str:
    return "Deletion" if len(allele.ref) > len(allele.alt) else "Insertion"
