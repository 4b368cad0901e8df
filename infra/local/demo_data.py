"""The demo's inputs: a synthetic genome with genes and knowledge, and a donor's order and reads. None of it is real.

Equal arguments give equal bytes, so the demo's analysis always has the same id and a test can name what it expects.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.local.demo_clinvar import clinvar_vcf
from infra.local.demo_genome import make_genome
from infra.local.demo_gff import gff3
from infra.local.demo_sites import array_vcf, common_sites, sites_vcf
from infra.local.demo_variants import contig_variants, haplotype, make_donor, truth_vcf
from infra.local.simulate import ReadModel, fastq_text, simulate_pairs, write_bgzf, write_gzip
from shared.domain.order import parse_order
from shared.domain.variant import Allele

BUNDLE = "demo"
"""Name of the reference bundle that the order asks for."""

_KNOWLEDGE, _DONOR, _READS, _SITES = range(4)
"""Streams of random numbers of their own, so that other reads do not make another genome."""


@dataclass(frozen=True, slots=True)
class DemoData:
    """Where the demo's inputs lie.

    Attributes:
        fasta: The genome, plain FASTA.
        genes: Its genes, Ensembl-style GFF3.
        clinvar: Knowledge in the format of ClinVar's VCF, bgzip, with a `.tbi` beside it.
        common_sites: Sites where people differ, with frequencies, as a population's VCF has them.
        truth: The donor's variants with phased genotypes, bgzip, with a `.tbi` beside it.
        fastqs: R1 and R2 of lane 1 (gzip) and of lane 2 (BGZF).
        order: The order, in the same folder as the FASTQ files, which is named as the sample.
        array: The donor's genotypes as an array gives them, in the same folder; None when the order names none.
        planted: The donor's one allele that the knowledge holds as pathogenic, a stop gained.
    """

    fasta: Path
    genes: Path
    clinvar: Path
    common_sites: Path
    truth: Path
    fastqs: tuple[Path, ...]
    order: Path
    planted: Allele
    array: Path | None = None


def make_demo_data(
    directory: Path,
    *,
    sample: str = "DEMO001",
    seed: int = 1,
    genome_bp: int = 250_000,
    depth: float = 30.0,
    model: ReadModel | None = None,
    with_array: bool = False,
) -> DemoData:
    """Make the demo's inputs: `{directory}/reference/` and `{directory}/landing/{sample}/`.

    Args:
        directory: Made when absent; files of an earlier call are replaced.
        sample: Sample name, which is in file names, order and truth.
        seed: What everything is drawn from.
        genome_bp: Length of the genome; at least 20,000 bp.
        depth: Mean depth, duplicates included.
        model: How reads are made; 2 x 150 bp when left out.
        with_array: Let the order name an array's genotypes of the donor, to compare the sample with.

    Raises:
        PermanentError: When the genome is too small for its genes, or the sample name is none.
    """
    model = model or ReadModel()
    genome = make_genome(genome_bp, np.random.default_rng([seed, _KNOWLEDGE]))
    donor = make_donor(genome, np.random.default_rng([seed, _DONOR]))
    reference, landing = directory / "reference", directory / "landing" / sample
    reference.mkdir(parents=True, exist_ok=True)
    landing.mkdir(parents=True, exist_ok=True)

    order = landing / "order.json"
    array = landing / f"{sample}.array.vcf" if with_array else None
    order.write_bytes(_order(sample, array))
    fasta = reference / "genome.fa"
    fasta.write_text(genome.fasta(), encoding="ascii")
    genes = reference / "genes.gff3"
    genes.write_text(gff3(genome), encoding="ascii")
    clinvar = _write_vcf(reference / "clinvar.vcf.gz", clinvar_vcf(genome, donor.known))
    sites = common_sites(genome, donor, np.random.default_rng([seed, _SITES]))
    population = _write_vcf(reference / "common-sites.vcf.gz", sites_vcf(genome, sites))
    if array:
        array.write_text(array_vcf(genome, sites, sample), encoding="ascii")
    truth = _write_vcf(directory / "truth.vcf.gz", truth_vcf(genome.contigs, donor.variants, sample))

    carried = contig_variants(donor)
    haplotypes = [
        haplotype(bases, carried.get(name, []), number) for name, bases in genome.contigs.items() for number in (0, 1)
    ]
    count = round(depth * genome_bp / (2 * model.read_bp))
    pairs = simulate_pairs(haplotypes, count, model, np.random.default_rng([seed, _READS]))
    fastqs = []
    for lane, chosen in ((1, range(count // 2)), (2, range(count // 2, count))):
        for mate in (1, 2):
            path = landing / f"{sample}_S1_L{lane:03d}_R{mate}_001.fastq.gz"
            write = write_gzip if lane == 1 else write_bgzf
            write(path, fastq_text(pairs, mate, lane, chosen))
            fastqs.append(path)
    return DemoData(fasta, genes, clinvar, population, truth, tuple(fastqs), order, donor.planted, array)


def _order(sample: str, array: Path | None) -> bytes:
    """The order, checked as the chain will check it."""
    order: dict[str, object] = {
        "schema_version": 1,
        "sample": sample,
        "patient": {"identifier": {"system": "urn:example:demo:mrn", "value": f"MRN-{sample}"}},
        "test": {"code": "DEMO-WGS", "display": "Demonstration genome (synthetic)"},
        "reference": BUNDLE,
        "requisition": {"system": "urn:example:demo:orders", "value": f"REQ-{sample}"},
        "specimen": {
            "accession": f"ACC-{sample}",
            "type": "BLD",
            "collected": "2026-01-05T09:30:00Z",
            "received": "2026-01-06T08:00:00Z",
        },
    }
    if array:
        order["fingerprint"] = array.name
    data = (json.dumps(order, indent=2) + "\n").encode()
    parse_order(data, f"{sample}/order.json")
    return data


def _write_vcf(path: Path, text: str) -> Path:
    """Write a sorted VCF as BGZF and index it."""
    import pysam

    write_bgzf(path, text.encode())
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path
