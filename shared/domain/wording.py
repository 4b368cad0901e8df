"""The sentences of a report, made once for the FHIR bundle and the clinician's page.

No sentence holds patient data.
"""

from dataclasses import dataclass
from datetime import UTC

from shared.domain.finding import Finding
from shared.domain.order import Order
from shared.domain.phase import Phase, PhasedPair, phased_pairs
from shared.domain.reference import Assembly
from shared.domain.report_case import (
    MINIMUM_MEAN_DEPTH,
    FileRole,
    Interpretation,
    ReportCase,
    Standing,
    main_consequence,
)
from shared.domain.thresholds import Missed, number
from shared.domain.variant import AnnotatedVariant

UNNAMED_CONDITIONS = frozenset({"not provided", "not specified", "see cases", ""})
"""What ClinVar writes (CLNDN) where a submitter named no condition."""

DISCLAIMER = (
    "This report was made automatically from the sequencing data. Only variants that ClinVar holds as pathogenic or "
    "likely pathogenic at exactly the allele found are listed. Confirm a finding by a second method or a second "
    "sample, and have it reviewed by a qualified specialist, before acting on it."
)

LIMITS = (
    (
        "Small variants (substitutions, insertions and deletions shorter than a read) are looked for. Copy-number "
        "changes, rearrangements, repeat expansions and low-level mosaicism are not."
    ),
    "Regions that few reads cover, or where reads fit several places of the genome, may hide a variant.",
    "Knowledge changes: a variant that is not listed today may be classified differently later.",
)


NO_RESULT = (
    "This report gives no result. Nothing can be concluded from it about the person who was tested, neither that a "
    "variant is there nor that it is not."
)

FIGURES = {
    "callable_bases": "the number of reference bases that can be called",
    "contamination": "the part of the reads that come from another person",
    "duplicate_fraction": "the part of the reads that are duplicates",
    "fraction_1x": "the part of the bases covered by a read",
    "fraction_10x": "the part of the bases covered by at least 10 reads",
    "fraction_20x": "the part of the bases covered by at least 20 reads",
    "fraction_30x": "the part of the bases covered by at least 30 reads",
    "identity_concordance": "the agreement with the genotypes that are known of this person",
    "mapped_fraction": "the part of the reads that have a place in the reference",
    "mean_depth": "the mean depth (reads per base)",
    "on_target_fraction": "the part of the bases that lie on the targets",
    "properly_paired_fraction": "the part of the reads that lie as a pair should",
    "q30_fraction": "the part of the bases with a quality of 30 or more",
    "read_pairs": "the number of read pairs",
    "single_reads": "the number of single-end reads",
    "sex_concordance": "the agreement of the reads with the sex of the order (1 or 0)",
}
"""Quality figures in plain words; another is told by its name."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the report concludes.

    Attributes:
        label: One word: the interpretation, or why there is none.
        headline: One sentence.
        details: One sentence per finding, or what finding nothing means; then one per withheld variant.
        interpretation: None when the report gives no result.
        caveats: What to know before reading a result that was released although its quality limits were missed.
    """

    label: str
    headline: str
    details: tuple[str, ...]
    interpretation: Interpretation | None = None
    caveats: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The conclusion as plain text, one sentence per line."""
        return "\n".join((f"{self.label}: {self.headline}", *self.caveats, *self.details))


def conclude(case: ReportCase) -> Conclusion:
    """The conclusion of a report."""
    if case.standing is not Standing.FINAL:
        return _conclude_without_result(case)
    interpretation = case.interpretation
    count = len(case.findings)
    details: tuple[str, ...]
    if interpretation is Interpretation.POSITIVE:
        variants = "variant was" if count == 1 else "variants were"
        headline = f"{count} reportable {variants} found."
        details = (
            *(describe(finding) for finding in case.findings),
            *(describe_pair(pair) for pair in phased_pairs(case.findings)),
            *([f"{depth_sentence(case)} Further variants may have been missed."] if case.is_too_shallow else []),
        )
    elif interpretation is Interpretation.NEGATIVE:
        headline = f"No reportable variants found in {studied_regions(case)}."
        details = ("This lowers, but does not exclude, the likelihood of a genetic cause; see the test's limits.",)
    elif not case.has_knowledge:
        headline = "The variants were called but not interpreted."
        details = (
            (
                f"Reference bundle {case.plan.reference.name} holds no ClinVar, so no variant could be recognised as "
                "pathogenic. Make a bundle with ClinVar and order the analysis again."
            ),
        )
    elif case.is_too_shallow:
        headline = f"No reportable variants found, but {studied_regions(case)} cannot be judged."
        details = (
            (
                f"{depth_sentence(case)} At least {MINIMUM_MEAN_DEPTH:g} reads per base are needed to call a result "
                "negative; sequence the sample again."
            ),
        )
    else:
        headline = f"No reportable variants found in {studied_regions(case)}, but a call is in doubt."
        details = ()
    return Conclusion(
        str(interpretation),
        headline,
        (*details, *(describe_withheld(one) for one in case.withheld)),
        interpretation,
        _caveats(case),
    )


def _conclude_without_result(case: ReportCase) -> Conclusion:
    missed = tuple(describe_missed(one) for one in case.missed)
    if case.standing is Standing.HELD:
        return Conclusion(
            str(case.standing),
            "no result is released, because the sample missed its quality limits.",
            (*missed, "The laboratory will release the result, or reject the sample.", NO_RESULT),
        )
    return Conclusion(
        str(case.standing),
        "there is no result, because the sample missed its quality limits and was rejected.",
        (*missed, _decided(case), "If the test is still wanted, a new sample or new sequencing is needed.", NO_RESULT),
    )


def _caveats(case: ReportCase) -> tuple[str, ...]:
    """What to know of a result that was released although the sample missed its limits."""
    if not case.missed:
        return ()
    return (
        "The sample missed its quality limits; the result was released all the same.",
        *(describe_missed(one) for one in case.missed),
        _decided(case),
    )


def _decided(case: ReportCase) -> str:
    """Who decided on a sample that missed its limits, when and why."""
    decision = case.decision
    assert decision is not None, "a held sample has no decision to tell"
    when = decision.decided.astimezone(UTC)
    reason = decision.reason if decision.reason.endswith((".", "!", "?")) else f"{decision.reason}."
    return f"{str(decision.decision).capitalize()} by {decision.by} on {when:%Y-%m-%d %H:%M} UTC. Reason: {reason}"


def describe_missed(missed: Missed) -> str:
    """One sentence on a quality limit that was missed, in plain words."""
    name = FIGURES.get(missed.figure, missed.figure.replace("_", " "))
    if missed.value is None:
        return f"{name[0].upper()}{name[1:]} could not be measured; {missed.limit} is required."
    return f"{name[0].upper()}{name[1:]} is {number(missed.value)}; {missed.limit} is required."


def disclaimer(case: ReportCase) -> str:
    """What the reader must bear in mind."""
    return DISCLAIMER if case.standing is Standing.FINAL else NO_RESULT


def describe(finding: Finding) -> str:
    """One sentence on a finding: its name, zygosity, significance and condition."""
    variant = finding.variant
    conditions = named_conditions(variant)
    sentence = f"{variant_name(variant)}, {variant.zygosity}: {finding.significance}"
    if conditions:
        sentence += f" for {'; '.join(conditions)}"
    if variant.clinvar:
        sentence += f" (ClinVar {variant.clinvar.variation_id}, {review_status(variant)})"
    return sentence + "."


def describe_pair(pair: PhasedPair) -> str:
    """One sentence on two heterozygous findings of one gene."""
    both = f"{variant_name(pair.first)} and {variant_name(pair.second)}"
    if pair.phase is Phase.TRANS:
        return f"{both} are two alleles of one site and lie on different copies of {pair.gene.gene}."
    return (
        f"Whether {both} lie on the same copy of {pair.gene.gene} or on different ones is not known; testing the "
        "parents can tell."
    )


def describe_withheld(finding: Finding) -> str:
    """One sentence on a variant that is no result because the caller's filters did not pass it."""
    return f"{variant_name(finding.variant)} needs confirmation by another method. {finding.reason}"


def variant_name(variant: AnnotatedVariant) -> str:
    """What people call the variant: gene, coding and protein name; else the genomic name or the allele itself."""
    main = main_consequence(variant)
    parts = []
    if main and main.gene:
        parts.append(main.gene)
    if main and main.hgvs_c:
        parts.append(main.hgvs_c)
        if main.hgvs_p:
            parts.append(main.hgvs_p.rpartition(":")[2])
    else:
        parts.append(variant.hgvs_g or str(variant.allele))
    return " ".join(parts)


def named_conditions(variant: AnnotatedVariant) -> tuple[str, ...]:
    """The conditions that ClinVar names for the allele; empty where submitters named none."""
    if variant.clinvar is None:
        return ()
    names = (name.replace("_", " ").strip() for name in variant.clinvar.conditions)
    return tuple(dict.fromkeys(name for name in names if name.lower() not in UNNAMED_CONDITIONS))


def review_status(variant: AnnotatedVariant) -> str:
    """ClinVar's review status in words, such as ``reviewed by expert panel``; empty without a record."""
    return variant.clinvar.review_status.replace("_", " ") if variant.clinvar else ""


def studied_regions(case: ReportCase) -> str:
    """What was looked at, such as ``all 25 sequences (3,088,286,401 bp) of reference bundle grch38``.

    With a file of studied regions the report is about those alone.
    """
    contigs = case.plan.contigs
    bases = sum(contig.length for contig in contigs)
    sequences = f"sequence {contigs[0].name}" if len(contigs) == 1 else f"all {len(contigs)} sequences"
    whole = f"{sequences} ({bases:,} bp) of reference bundle {case.plan.reference.name}"
    if files := case.files_of(FileRole.STUDIED_REGIONS):
        return f"the regions of {', '.join(file.title for file in files)} in {whole}"
    return whole


def uncalled_regions(case: ReportCase) -> str:
    """Where the test cannot say anything, as far as it is known."""
    if files := case.files_of(FileRole.UNCALLED_REGIONS):
        return f"Regions without calls are listed in {', '.join(file.title for file in files)}."
    sentences = []
    if case.quality.fraction_20x is not None:
        sentences.append(
            f"{1 - case.quality.fraction_20x:.1%} of the bases are covered by fewer than 20 reads; a variant there "
            "may have been missed."
        )
    if files := case.files_of(FileRole.ALL_SITES):
        sentences.append(f"{files[0].title} holds the depth of every place.")
    return " ".join(sentences) or "Regions without calls were not recorded."


def depth_sentence(case: ReportCase) -> str:
    """How deeply the sample was sequenced."""
    quality = case.quality
    counted = [f"{quality.pairs:,} read pairs"] if quality.pairs or not quality.single_reads else []
    if quality.single_reads:
        counted.append(f"{quality.single_reads:,} single-end reads")
    sentence = " and ".join(counted)
    if quality.mean_depth is not None:
        sentence += f", mean depth {quality.mean_depth:.1f} reads per base"
    if quality.fraction_20x is not None:
        sentence += f", {quality.fraction_20x:.1%} of bases covered by at least 20 reads"
    return sentence + "."


def purity_sentences(case: ReportCase) -> tuple[str, ...]:
    """Whether the reads are one person's, and the right one's; what could not be measured is not mentioned."""
    quality = case.quality
    found = []
    if quality.contamination is not None:
        found.append(f"{quality.contamination:.1%} of the reads are estimated to be another person's.")
    if quality.identity_concordance is not None and quality.identity_sites is not None:
        found.append(
            f"{quality.identity_concordance:.1%} of {quality.identity_sites:,.0f} common sites have the genotype known "
            "of this person."
        )
    return tuple(found)


def methodology(case: ReportCase) -> str:
    """How the result was made: reads, reference, caller and knowledge with their versions."""
    plan = case.plan
    knowledge = ", ".join(f"{name} {version}" for name, version in sorted(plan.reference.versions.items()))
    sentences = [
        (
            f"Massively parallel sequencing; reads were aligned to reference bundle {plan.reference.name} "
            f"({assembly_name(case)}), duplicates marked and variants called with {plan.order.options.caller}."
        ),
    ]
    if knowledge:
        sentences.append(f"Knowledge: {knowledge}.")
    if case.standing is Standing.FINAL:
        sentences.append(_counts(case))
    return " ".join(sentences)


def _counts(case: ReportCase) -> str:
    return (
        f"{case.counts.called:,} alleles were called, of which {case.counts.filtered:,} did not pass the caller's "
        f"filters; {len(case.findings):,} met the rule for reporting."
    )


def assembly_name(case: ReportCase) -> str:
    """The genome build that positions refer to."""
    assembly = case.plan.reference.assembly
    return "no public assembly" if assembly is Assembly.OTHER else f"assembly {assembly}"


def test_name(order: Order) -> str:
    """The test as the lab names it."""
    return f"{order.test.display} ({order.test.code})"
