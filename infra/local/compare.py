"""Called variants against the truth: recall, precision and genotypes, by a way of its own through bcftools norm.

Nothing that the chain decides is used here, so that a fault of the chain cannot hide itself.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from shared.formats.bcftools import run_bcftools

Key = tuple[str, int, str, str]
"""Contig, pos (1-based), REF, ALT."""


@dataclass(frozen=True, slots=True)
class Score:
    """How one kind of variants was found.

    Attributes:
        kind: ``SNV`` or ``indel``.
        calls: ``PASS`` for calls that passed (or had no filter applied), ``all`` for all of them.
        truth: Alleles in the truth.
        called: Alleles called.
        found: Alleles in both.
        same_genotype: Of `found`, those called with as many copies as in the truth.
    """

    kind: str
    calls: str
    truth: int
    called: int
    found: int
    same_genotype: int

    @property
    def recall(self) -> float:
        """Share of the truth that was found; 1 when there was nothing to find."""
        return self.found / self.truth if self.truth else 1.0

    @property
    def precision(self) -> float:
        """Share of the calls that are true; 1 when there are none."""
        return self.found / self.called if self.called else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        both = self.truth + self.called
        return 2 * self.found / both if both else 1.0

    @property
    def genotype_concordance(self) -> float:
        """Share of the found alleles with the right number of copies."""
        return self.same_genotype / self.found if self.found else 1.0

    def __str__(self) -> str:
        return (
            f"{self.kind:5} {self.calls:4} truth {self.truth:5,} called {self.called:5,} "
            f"recall {self.recall:.4f} precision {self.precision:.4f} F1 {self.f1:.4f} "
            f"genotype {self.genotype_concordance:.4f}"
        )


def compare(truth_vcf: Path, called_vcf: Path, fasta: Path) -> tuple[Score, ...]:
    """Compare allele by allele after splitting, atomising and left-aligning both files.

    Args:
        truth_vcf: One sample, VCF or VCF.gz; all its records count.
        called_vcf: One sample, VCF or VCF.gz.
        fasta: The reference of both; its `.fai` is made beside it when there is none.

    Returns:
        Scores of SNV and indel, each for the calls that passed and for all.
    """
    truth = _alleles(truth_vcf, fasta)
    called = _alleles(called_vcf, fasta)
    passed = {key: value for key, value in called.items() if value[1]}
    return tuple(
        _score(kind, name, truth, calls)
        for kind in ("SNV", "indel")
        for name, calls in (("PASS", passed), ("all", called))
    )


def _score(
    kind: str, calls: str, truth: Mapping[Key, tuple[float, bool]], called: Mapping[Key, tuple[float, bool]]
) -> Score:
    expected = {key for key in truth if _kind(key) == kind}
    observed = {key for key in called if _kind(key) == kind}
    found = expected & observed
    same = sum(truth[key][0] == called[key][0] for key in found)
    return Score(kind, calls, len(expected), len(observed), len(found), same)


def _kind(key: Key) -> str:
    return "SNV" if len(key[2]) == len(key[3]) == 1 else "indel"


def _alleles(vcf: Path, fasta: Path) -> dict[Key, tuple[float, bool]]:
    """Share of the chromosome copies that carry each allele, and whether its record passed."""
    import pysam

    # Callers declare MQ in ways that htslib remarks on; that is no news to whoever reads a score.
    verbosity = pysam.set_verbosity(1)
    with tempfile.TemporaryDirectory() as folder:
        steps = [vcf, *(Path(folder) / f"{step}.vcf" for step in ("split", "atoms", "aligned"))]
        arguments = (("-m", "-any"), ("--atomize",), ("-d", "exact"))
        for (source, target), extra in zip(pairwise(steps), arguments, strict=True):
            run_bcftools("norm", "-f", str(fasta), *extra, "-Ov", "-o", str(target), str(source))
        found: dict[Key, tuple[float, bool]] = {}
        with pysam.VariantFile(str(steps[-1])) as records:
            for record in records:
                genotype = record.samples[0]["GT"]
                copies = sum(number == 1 for number in genotype)
                if copies and record.alts and record.alts[0] != "*":
                    key = (record.chrom, record.pos, record.ref, record.alts[0])
                    passed = set(record.filter.keys()) <= {"PASS"}
                    found[key] = (copies / len(genotype), passed)
    pysam.set_verbosity(verbosity)
    return found
