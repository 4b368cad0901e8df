"""When a variant is not PASS: limits on what the reads show. Pure."""

from dataclasses import dataclass
from math import exp, lgamma, log, log10


@dataclass(frozen=True, slots=True)
class Support:
    """What the reads show of one ALT allele; None where the caller did not say.

    Attributes:
        is_indel: Whether REF and ALT differ in length.
        genotype: GT.
        depths: Reads that show REF, and reads that show ALT (FORMAT/AD).
        strands: Reads by strand: REF forward, REF reverse, ALT forward, ALT reverse (INFO/DP4); ALT counts all alleles
            of a site that was split.
    """

    is_indel: bool = False
    genotype: str = "0/1"
    depths: tuple[int, int] | None = None
    strands: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """When a variant is not PASS.

    Attributes:
        min_qual: `LowQual` when QUAL (Phred) is below.
        min_depth: `LowDepth` when FORMAT/DP (reads) is below.
        min_mapping_quality: `LowMapQ` when INFO/MQ (Phred, mean of the reads) is below.
        max_strand_bias: `StrandBias` when Fisher's exact test that ALT and REF have the same share of forward reads is
            above (Phred) and the odds ratio is too. The test alone grows with depth: at a thousand reads it finds a
            bias that is too small to matter.
        max_strand_odds: The log odds ratio (natural, made symmetric) above which a bias is large.
        max_strand_bias_indel: As `max_strand_bias`, of indels; their reads differ more by nature.
        max_strand_odds_indel: As `max_strand_odds`, of indels.
        min_allele_balance: `AlleleBalance` when a heterozygous allele has a smaller share (0..1) of REF and ALT reads.
        min_allele_share: `AlleleBalance` when an allele that is called without REF has a smaller share.
        min_allele_share_indel: As `min_allele_share`, of indels: reads that end within one count as REF.
    """

    min_qual: float = 20.0
    min_depth: int = 3
    min_mapping_quality: int = 2
    max_strand_bias: float = 60.0
    max_strand_odds: float = 3.0
    max_strand_bias_indel: float = 200.0
    max_strand_odds_indel: float = 10.0
    min_allele_balance: float = 0.15
    min_allele_share: float = 0.5
    min_allele_share_indel: float = 0.25

    def header_lines(self) -> list[str]:
        """The ##FILTER lines."""
        rules = (
            ("LowQual", f"QUAL < {self.min_qual:g}"),
            ("LowDepth", f"FORMAT/DP < {self.min_depth}"),
            ("LowMapQ", f"INFO/MQ < {self.min_mapping_quality}"),
            (
                "StrandBias",
                (
                    "By INFO/DP4, ALT is on other strands than REF: Phred-scaled Fisher's exact test > "
                    f"{self.max_strand_bias:g} and symmetric log odds ratio > {self.max_strand_odds:g} (indels: > "
                    f"{self.max_strand_bias_indel:g} and > {self.max_strand_odds_indel:g})"
                ),
            ),
            (
                "AlleleBalance",
                (
                    f"By FORMAT/AD, ALT / (REF + ALT) < {self.min_allele_balance:g} in a genotype with REF, < "
                    f"{self.min_allele_share:g} in one without (indels: < {self.min_allele_share_indel:g})"
                ),
            ),
        )
        return [f'##FILTER=<ID={name},Description="{rule}">' for name, rule in rules]

    def verdict(self, qual: str, depth: str, mapping_quality: str, support: Support | None = None) -> str:
        """The FILTER column: PASS, or the names of all limits that were missed."""
        missed = []
        if qual == "." or float(qual) < self.min_qual:
            missed.append("LowQual")
        if depth in {"", "."} or int(depth) < self.min_depth:
            missed.append("LowDepth")
        if mapping_quality and int(mapping_quality) < self.min_mapping_quality:
            missed.append("LowMapQ")
        if support is not None and self._is_strand_biased(support):
            missed.append("StrandBias")
        if support is not None and self._is_unbalanced(support):
            missed.append("AlleleBalance")
        return ";".join(missed) or "PASS"

    def _is_strand_biased(self, support: Support) -> bool:
        if support.strands is None:
            return False
        odds, test = self.max_strand_odds, self.max_strand_bias
        if support.is_indel:
            odds, test = self.max_strand_odds_indel, self.max_strand_bias_indel
        return strand_odds(*support.strands) > odds and fisher_phred(*support.strands) > test

    def _is_unbalanced(self, support: Support) -> bool:
        if support.depths is None or not sum(support.depths):
            return False
        has_reference = "0" in support.genotype.replace("|", "/").split("/")
        alone = self.min_allele_share_indel if support.is_indel else self.min_allele_share
        least = self.min_allele_balance if has_reference else alone
        return support.depths[1] / sum(support.depths) < least


def strand_odds(ref_forward: int, ref_reverse: int, alt_forward: int, alt_reverse: int) -> float:
    """The strand odds ratio as GATK defines it (StrandOddsRatio): symmetric, and lower where REF itself is one-sided.

    One read is added to each count, so that no count is zero.
    """
    a, b, c, d = (count + 1.0 for count in (ref_forward, ref_reverse, alt_forward, alt_reverse))
    ratio = a * d / (b * c)
    return log(ratio + 1 / ratio) + log(min(a, b) / max(a, b)) - log(min(c, d) / max(c, d))


def fisher_phred(ref_forward: int, ref_reverse: int, alt_forward: int, alt_reverse: int) -> float:
    """The p-value of Fisher's exact test (two-sided), Phred-scaled; 0 where nothing speaks against equal shares."""
    forward, reverse = ref_forward + alt_forward, ref_reverse + alt_reverse
    alt, total = alt_forward + alt_reverse, forward + reverse

    def weight(k: int) -> float:
        return _log_choose(forward, k) + _log_choose(reverse, alt - k)

    whole = _log_choose(total, alt)
    limit = weight(alt_forward) + 1e-7  # as many say: sums of logarithms are not exact
    weights = (weight(k) for k in range(max(0, alt - reverse), min(alt, forward) + 1))
    p = sum(exp(one - whole) for one in weights if one <= limit)
    return -10 * log10(min(1.0, max(p, 1e-300)))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
