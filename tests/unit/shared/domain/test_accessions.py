"""Accessions are given to whole chromosomes of an assembly only."""

import pytest

from shared.domain.accessions import _GRCH37, _GRCH38, accession_of
from shared.domain.genome import Contig
from shared.domain.reference import Assembly


@pytest.mark.parametrize(
    ("assembly", "name", "length", "accession"),
    [
        (Assembly.GRCH38, "chr17", 83_257_441, "NC_000017.11"),
        (Assembly.GRCH38, "17", 83_257_441, "NC_000017.11"),  # Ensembl's names
        (Assembly.GRCH37, "chr17", 81_195_210, "NC_000017.10"),
        (Assembly.GRCH38, "chrX", 156_040_895, "NC_000023.11"),
        (Assembly.GRCH38, "chrM", 16_569, "NC_012920.1"),  # UCSC's name
        (Assembly.GRCH38, "MT", 16_569, "NC_012920.1"),
        (Assembly.GRCH37, "chrM", 16_571, ""),  # hg19's own mitochondrion is another sequence
        (Assembly.GRCH38, "chr17", 81_195_210, ""),  # another build's length
        (Assembly.GRCH38, "chr17", 1_000_000, ""),  # an excerpt
        (Assembly.OTHER, "chr17", 83_257_441, ""),
        (Assembly.GRCH38, "chr17_KI270729v1_random", 280_839, ""),
        (Assembly.GRCH38, "chrEBV", 171_823, ""),
    ],
)
def test_an_accession_needs_the_chromosomes_name_and_its_exact_length(
    assembly: Assembly, name: str, length: int, accession: str
) -> None:
    assert accession_of(assembly, Contig(name, length)) == accession


@pytest.mark.parametrize("table", [_GRCH37, _GRCH38])
def test_a_table_has_every_chromosome_once(table: dict[str, tuple[str, int]]) -> None:
    assert list(table) == [*map(str, range(1, 23)), "X", "Y", "MT"]
    assert len({accession for accession, _ in table.values()}) == 25


def test_the_builds_lengths_add_up_to_the_genomes_published_size() -> None:
    assert sum(length for _, length in _GRCH37.values()) == 3_095_693_981  # GRCh37: 3,095,677,412 bp and rCRS
    assert sum(length for _, length in _GRCH38.values()) == 3_088_286_401  # GRCh38: 3,088,269,832 bp and rCRS
