"""The clinician's page: one self-contained HTML file, to be read on a screen and printed on A4.

It imports jinja2; import it where it is used.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.finding import Finding
from shared.domain.report_case import FileRole, ReportCase, Standing, consequence_by_gene, main_consequence
from shared.domain.wording import (
    LIMITS,
    assembly_name,
    conclude,
    depth_sentence,
    disclaimer,
    named_conditions,
    purity_sentences,
    review_status,
    studied_regions,
    test_name,
    uncalled_regions,
)
from shared.report.templates import template


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as the page's table shows it; everything is text, nothing is markup."""

    genes: str
    coding: str
    protein: str
    genomic: str
    effect: str
    zygosity: str
    significance: str
    clinvar: str
    clinvar_url: str
    review: str
    dbsnp: str
    conditions: tuple[str, ...]
    reads: str
    fraction: str
    reason: str


def render_page(case: ReportCase) -> str:
    """The page of a report; the same case gives the same page."""
    order = case.plan.order
    page = template("page.html.j2")
    return page.render(
        case=case,
        plan=case.plan,
        order=order,
        test=test_name(order),
        patient=_patient(case),
        conclusion=conclude(case),
        has_result=case.standing is Standing.FINAL,
        rows=[_row(finding) for finding in case.findings],
        withheld=[_row(finding) for finding in case.withheld],
        assembly=assembly_name(case),
        studied=studied_regions(case),
        uncalled=uncalled_regions(case),
        depth=depth_sentence(case),
        purity=" ".join(purity_sentences(case)),
        limits=LIMITS,
        disclaimer=disclaimer(case),
        issued=_time(case.issued),
        received=_time(case.plan.received),
        collected=_time(order.specimen.collected),
        specimen_received=_time(order.specimen.received),
        knowledge=sorted(case.plan.reference.versions.items()),
        tools=sorted(case.tools.items()),
        files=[file for file in case.files if file.role is not FileRole.VARIANTS_INDEX],
    )


def _row(finding: Finding) -> FindingRow:
    variant = finding.variant
    main = main_consequence(variant)
    record = variant.clinvar
    # A record's id comes from a file; only a number becomes part of an address.
    is_linked = record is not None and record.variation_id.isdecimal()
    allele = variant.allele
    return FindingRow(
        genes=", ".join(one.gene for one in consequence_by_gene(variant)),
        coding=main.hgvs_c if main else "",
        protein=main.hgvs_p if main else "",
        genomic=variant.hgvs_g or f"{allele.contig}:{allele.pos} {allele.ref}>{allele.alt}",
        effect=", ".join(term.replace("_", " ") for term in main.terms) if main else "",
        zygosity=variant.zygosity,
        significance=finding.significance,
        clinvar=f"ClinVar {record.variation_id}" if record else "",
        clinvar_url=f"https://www.ncbi.nlm.nih.gov/clinvar/variation/{record.variation_id}/"
        if record and is_linked
        else "",
        review=review_status(variant),
        dbsnp=record.dbsnp if record else "",
        conditions=named_conditions(variant) or ("not named",),
        reads=f"{variant.allele_depth} of {variant.depth}",
        fraction=f"{variant.allele_fraction:.0%}",
        reason=finding.reason,
    )


def _patient(case: ReportCase) -> str:
    """The patient as the order refers to them; never a name, which the pipeline does not know."""
    patient = case.plan.order.patient
    if patient.identifier:
        return f"{patient.identifier.value} ({patient.identifier.system})"
    return patient.reference or ""


def _time(time: datetime | None) -> str:
    """A time to the minute with its offset; to the day when it has none; empty when unknown."""
    if time is None:
        return ""
    if time.tzinfo is None:
        return f"{time:%Y-%m-%d}"
    # The name of a zone depends on how the time was read; its offset does not.
    offset = f"{time:%z}"
    zone = "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:5]}"
    return f"{time:%Y-%m-%d %H:%M} {zone}"
