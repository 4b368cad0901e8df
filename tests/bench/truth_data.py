"""One simulated sample on disk: reference, truth and reads, all from a seed."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.local.demo_genome import Bases, N, make_genome
from infra.local.demo_variants import haplotype, truth_vcf
from infra.local.simulate import fastq_text, write_gzip
from tests.bench.truth_compare import Event, read_events
from tests.bench.truth_donor import DonorModel, TruthDonor, make_truth_donor
from tests.bench.truth_reads import ReadFaults, pairs_for_depth, simulate_truth_pairs

_LINE = 60
_LANE_PAIRS = 400_000  # read names of one lane are told apart up to this many


@dataclass(frozen=True, slots=True)
class Sample:
    """A simulated sample.

    Attributes:
        fasta: The reference with its planted copies.
        contigs: The same by name.
        truth: The donor's alleles.
        copies: (contig, start, end) of places that have a relative elsewhere; half-open.
        r1: FASTQ.gz.
        r2: FASTQ.gz.
        pairs: Read pairs.
    """

    fasta: Path
    contigs: Mapping[str, Bases]
    truth: list[Event]
    copies: tuple[tuple[str, int, int], ...]
    r1: Path
    r2: Path
    pairs: int


def read_reference(fasta: Path, bp: int) -> dict[str, Bases]:
    """The last `bp` bp of a FASTA(.gz), an equal part of every contig; chromosomes begin with telomeres and gaps."""
    letters: dict[str, list[bytes]] = {}
    name = ""
    with gzip.open(fasta) if fasta.suffix == ".gz" else fasta.open("rb") as lines:
        for line in lines:
            if line.startswith(b">"):
                name = line[1:].split()[0].decode()
                letters[name] = []
            else:
                letters[name].append(line.strip().upper())
    share = bp // len(letters)
    contigs = {name: np.frombuffer(b"".join(parts)[-share:], dtype=np.uint8) for name, parts in letters.items()}
    named = np.isin(np.arange(256), np.frombuffer(b"ACGT", dtype=np.uint8))
    return {name: np.where(named[bases], bases, np.uint8(N)) for name, bases in contigs.items()}


def synthetic_reference(bp: int) -> dict[str, Bases]:
    """The demo's genome, for machines without a real one; the same for every sample seed."""
    return {name: bases.copy() for name, bases in make_genome(bp, np.random.default_rng(1)).contigs.items()}


def make_donor(
    reference: Mapping[str, Bases], seed: int, folder: Path, model: DonorModel | None = None
) -> tuple[TruthDonor, Path, list[Event]]:
    """Draw a donor and write `reference.fa` and `truth.vcf`; returns the donor, the FASTA and the truth."""
    donor = make_truth_donor(reference, model or DonorModel(), np.random.default_rng([seed, 0]))
    folder.mkdir(parents=True, exist_ok=True)
    fasta = folder / "reference.fa"
    with fasta.open("w") as out:
        for name, bases in donor.contigs.items():
            text = bases.tobytes().decode()
            out.write(f">{name}\n")
            out.writelines(f"{text[at : at + _LINE]}\n" for at in range(0, len(text), _LINE))
    vcf = folder / "truth.vcf"
    vcf.write_text(truth_vcf(donor.contigs, donor.variants, "sample"))
    return donor, fasta, read_events(vcf, donor.contigs)


def make_sample(
    reference: Mapping[str, Bases],
    seed: int,
    depth: float,
    folder: Path,
    model: DonorModel | None = None,
    faults: ReadFaults | None = None,
) -> Sample:
    """Draw a donor and its reads. The donor depends on the seed only, the reads on seed and depth."""
    faults = faults or ReadFaults()
    donor, fasta, truth = make_donor(reference, seed, folder, model)
    haplotypes = [
        haplotype(bases, [v for v in donor.variants if v.allele.contig == name], number)
        for number in (0, 1)
        for name, bases in donor.contigs.items()
    ]
    sequences = [*haplotypes, *donor.paralogs]
    genome_bp = sum(int((bases != N).sum()) for bases in sequences) // 2
    pairs = pairs_for_depth(depth, genome_bp, faults)
    reads = simulate_truth_pairs(sequences, pairs, faults, np.random.default_rng([seed, 1, round(depth * 1_000)]))
    paths = [folder / f"sample_S1_L001_R{mate}_001.fastq.gz" for mate in (1, 2)]
    for mate, path in enumerate(paths, 1):
        text = b"".join(
            fastq_text(reads, mate, 1 + at // _LANE_PAIRS, range(at, min(at + _LANE_PAIRS, pairs)))
            for at in range(0, pairs, _LANE_PAIRS)
        )
        write_gzip(path, text)
    return Sample(fasta, donor.contigs, truth, donor.copies, paths[0], paths[1], pairs)
