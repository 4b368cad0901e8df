"""The demo's common sites, in the format of a population's VCF, and the donor's genotypes there as an array gives them.

The donor carries most of the sites, so about as many that it does not carry are drawn as it carries twice: with a
frequency of one half that is what Hardy and Weinberg expect.
"""

from collections.abc import Sequence

import numpy as np

from infra.local.demo_genome import DemoGenome, substitute
from infra.local.demo_variants import Donor, DonorVariant

_DISTANCE_BP = 60  # of a site that the donor does not carry from any variant
_Site = tuple[str, int, str, str, float, str]


def common_sites(genome: DemoGenome, donor: Donor, rng: np.random.Generator) -> tuple[_Site, ...]:
    """(contig, pos, REF, ALT, frequency of ALT, the donor's genotype), pos 1-based, in genome order."""
    snvs = [one for one in donor.variants if len(one.allele.ref) == len(one.allele.alt) == 1]
    sites: list[_Site] = []
    for name, bases in genome.contigs.items():
        mine = [one for one in snvs if one.allele.contig == name]
        free = np.isin(bases, np.frombuffer(b"ACGT", dtype=np.uint8))
        for one in donor.variants:
            if one.allele.contig == name:
                free[max(0, one.start - _DISTANCE_BP) : one.end + _DISTANCE_BP] = False
        for twin in genome.twins:
            if twin.contig == name:
                free[twin.start : twin.end] = False
        count = min(sum(all(one.haplotypes) for one in mine), int(free.sum()))
        absent = rng.choice(np.flatnonzero(free), count, replace=False)
        alts = substitute(bases[absent], rng)
        rows = [
            (at + 1, chr(bases[at]), chr(alt), "0/0") for at, alt in zip(absent.tolist(), alts.tolist(), strict=True)
        ]
        rows += [(one.allele.pos, one.allele.ref, one.allele.alt, _genotype(one)) for one in mine]
        frequencies = rng.uniform(0.4, 0.6, len(rows)).round(3).tolist()
        sites += [(name, *row[:3], frequency, row[3]) for row, frequency in zip(sorted(rows), frequencies, strict=True)]
    return tuple(sites)


def sites_vcf(genome: DemoGenome, sites: Sequence[_Site]) -> str:
    """The sites with their frequencies, as populations' files have them."""
    rows = (f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\tAF={af:g}\n" for contig, pos, ref, alt, af, _ in sites)
    return _head(genome) + "\n" + "".join(rows)


def array_vcf(genome: DemoGenome, sites: Sequence[_Site], sample: str) -> str:
    """Every second site as an array reports it: REF and ALT swapped now and then, some calls missing."""
    rows = []
    for number, (contig, pos, ref, alt, _, called) in enumerate(sites[::2]):
        if number % 11 == 3:
            genotype = "./."
        elif number % 5 == 1:
            ref, alt, genotype = alt, ref, called.translate(str.maketrans("01", "10"))  # noqa: PLW2901 - that is the swap
        else:
            genotype = called
        rows.append(f"{contig}\t{pos}\tdemo{number}\t{ref}\t{alt}\t.\t.\t.\tGT\t{genotype}\n")
    return f"{_head(genome)}\tFORMAT\t{sample}\n" + "".join(rows)


def _genotype(variant: DonorVariant) -> str:
    return "1/1" if all(variant.haplotypes) else "0/1"


def _head(genome: DemoGenome) -> str:
    contigs = "".join(f"##contig=<ID={name},length={len(bases)}>\n" for name, bases in genome.contigs.items())
    return (
        "##fileformat=VCFv4.2\n##source=demo_data\n"
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">\n'
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        f"{contigs}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    )
