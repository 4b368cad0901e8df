"""A shard's GVCF and VCF: the called records of all its regions joined, normalised, filtered, counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from pathlib import Path

from batch_worker import commands
from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.filters import FilterLimits
from batch_worker.engine.vcf_text import (
    ORIGINAL_TAG,
    VariantCounts,
    finish_variants,
    header_lines,
    is_variant,
    split_header,
    text_pieces,
    without_leftovers,
)
from batch_worker.process import run
from shared.domain.genome import Contig
from shared.formats.gvcf import bands_line

TEXT_LEVEL = 1  # shard files are read once, by the gather, which compresses the result

CalledLines = tuple[list[str], Iterator[str]]
"""What a caller gives of one region: its header, and GVCF lines by place; without line ends."""


@dataclass(slots=True)
class ShardFiles:
    """One shard's files: first the GVCF, then the VCF made of its variants.

    Attributes:
        contigs: Of the reference, in order.
        reference: Plain FASTA with its `.fai`.
        limits: When a variant is not PASS.
        scratch: Variants are kept here in between.
        log: What the tools say on stderr is appended here.
        own: Header lines of ours; the same for all shards.
    """

    contigs: Sequence[Contig]
    reference: Path
    limits: FilterLimits
    scratch: Path
    log: Path
    own: Sequence[str]

    def write_gvcf(self, path: Path, regions: Sequence[CalledLines], depth_bands: Sequence[int]) -> int:
        """Join the regions' lines by place and write them; return the number of records."""
        header = regions[0][0]
        rank = {contig.name: i for i, contig in enumerate(self.contigs)}

        def place(line: str) -> tuple[int, int]:
            contig, pos, _ = line.split("\t", 2)
            return rank[contig], int(pos)

        joined = regions[0][1] if len(regions) == 1 else merge(*(lines for _, lines in regions), key=place)
        count = 0
        with (self.scratch / "variants.vcf").open("w") as variants:
            variants.writelines(f"{line}\n" for line in header)

            def records() -> Iterator[str]:
                nonlocal count
                for line in joined:
                    count += 1
                    if is_variant(line):
                        kept = without_leftovers(line)
                        variants.write(f"{kept}\n")
                        yield kept
                    else:
                        yield line

            own = [*self.own, bands_line(depth_bands)]
            write_bgzf(path, text_pieces(chain(header_lines(header, own), records())), TEXT_LEVEL)
        return count

    def write_vcf(self, path: Path) -> VariantCounts:
        """Normalise the variants that `write_gvcf` kept, set FILTER, write; return the counts."""
        normal = self.scratch / "normal.vcf"
        variants = self.scratch / "variants.vcf"
        run(commands.normalise(variants, normal, reference=self.reference, original_tag=ORIGINAL_TAG), self.log)
        counts = VariantCounts()
        own = [*self.limits.header_lines(), *self.own]
        with normal.open() as text:
            header, body = split_header(text)
            lines = chain(header_lines(header, own), finish_variants(body, self.limits, counts))
            write_bgzf(path, text_pieces(lines), TEXT_LEVEL)
        return counts
