"""Ploidy of every stretch by sex, and sex by counts of reads."""

import pytest

from shared.domain.genome import Contig, Interval
from shared.domain.karyotype import (
    AUTOSOMAL,
    X_READS,
    Y_READS,
    ContigKind,
    Karyotype,
    Sex,
    kind_of,
    pseudo_autosomal_regions,
)
from shared.errors import PermanentError

CONTIGS = (
    Contig("chr1", 100_000),
    Contig("chrX", 50_000),
    Contig("chrY", 20_000),
    Contig("chrM", 1_000),
    Contig("chrUn_KI270302v1", 500),
    Contig("hs38d1_decoy", 700),
)
PAR = (Interval("chrX", 0, 5_000), Interval("chrX", 48_000, 50_000), Interval("chrY", 0, 5_000))
HUMAN = Karyotype(CONTIGS, PAR)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (ContigKind.AUTOSOME, "1 22 chr1 chr22 NC_000001.11 chrA demo1 2L chrIV"),
        (ContigKind.X, "X chrX NC_000023.10 NC_000023.11"),
        (ContigKind.Y, "Y chrY NC_000024.10"),
        (ContigKind.MITOCHONDRION, "M MT chrM chrMT NC_012920.1"),
        (
            ContigKind.UNPLACED,
            (
                "GL000191.1 chrUn_KI270302v1 chr1_KI270706v1_random chrX_KI270880v1_alt HLA-A*01:01:01:01 KI270757.1 "
                "chrY_KI270740v1_random NT_167214.1 chr6_ssto_hap7 chr1_KZ208906v1_fix Un_x NW_003315950.2"
            ),
        ),
        (ContigKind.FOREIGN, "hs37d5 chrEBV NC_007605 chrUn_KN707606v1_decoy phiX174"),
    ],
)
def test_contigs_are_known_by_name(kind, names):
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def ploidy_at(sex, contig: str, at: int) -> int:
    (found,) = [
        region.ploidy
        for region in HUMAN.regions(sex)
        for one in region.intervals
        if one.contig == contig and one.start <= at < one.end
    ]
    return found


@pytest.mark.parametrize(
    ("place", "female", "male", "unknown"),
    [
        (("chr1", 0), 2, 2, 2),
        (("chrX", 4_999), 2, 2, 2),
        (("chrX", 5_000), 2, 1, 2),
        (("chrX", 47_999), 2, 1, 2),
        (("chrX", 48_000), 2, 2, 2),
        (("chrY", 4_999), 0, 0, 0),
        (("chrY", 5_000), 0, 1, 1),
        (("chrM", 999), 1, 1, 1),
        (("chrUn_KI270302v1", 0), 2, 2, 2),
        (("hs38d1_decoy", 0), 0, 0, 0),
    ],
)
def test_ploidy_follows_sex_up_to_the_border_of_the_pseudo_autosomal_regions(place, female, male, unknown):
    assert [ploidy_at(sex, *place) for sex in (Sex.FEMALE, Sex.MALE, None)] == [female, male, unknown]


@pytest.mark.parametrize("sex", [*Sex, None])
def test_every_base_has_exactly_one_ploidy(sex):
    intervals = [one for region in HUMAN.regions(sex) for one in region.intervals]
    assert sum(one.length for one in intervals) == sum(contig.length for contig in CONTIGS)
    for contig in CONTIGS:
        mine = sorted((one.start, one.end) for one in intervals if one.contig == contig.name)
        assert [start for start, _ in mine] == [0, *(end for _, end in mine[:-1])]
        assert mine[-1][1] == contig.length


def test_a_shard_has_its_part_of_each_region():
    piece = (Interval("chrX", 4_000, 6_000), Interval("chrY", 4_000, 6_000))
    parts = HUMAN.within(piece, Sex.MALE)
    assert {part.ploidy: part.intervals for part in parts} == {
        2: (Interval("chrX", 4_000, 5_000),),
        1: (Interval("chrX", 5_000, 6_000), Interval("chrY", 5_000, 6_000)),
        0: (Interval("chrY", 4_000, 5_000),),
    }


@pytest.mark.parametrize(
    ("assembly", "x", "y", "lengths"),
    [
        ("GRCh37", 155_270_560, 59_373_566, [2_639_520, 329_517]),
        ("GRCh38", 156_040_895, 57_227_415, [2_771_479, 329_513]),
    ],
)
def test_regions_of_human_assemblies_are_as_long_on_x_as_on_y(assembly, x, y, lengths):
    regions = pseudo_autosomal_regions(assembly, (Contig("X", x), Contig("Y", y)))
    assert [one.length for one in regions if one.contig == "X"] == lengths
    assert [one.length for one in regions if one.contig == "Y"] == lengths
    assert pseudo_autosomal_regions(assembly, (Contig("X", x - 1), Contig("chrA", y))) == ()
    assert pseudo_autosomal_regions("other", (Contig("X", x),)) == ()


def test_a_pseudo_autosomal_region_elsewhere_is_refused():
    with pytest.raises(PermanentError, match=r"chr1:0-5 .* neither X nor Y"):
        Karyotype(CONTIGS, (Interval("chr1", 0, 5),))


def counts(autosomal: int, x: float, y: float) -> dict[str, int]:
    """Counts that give the ratios of X and Y to the autosomes."""
    per_bp = autosomal / 100_000
    return {AUTOSOMAL: autosomal, X_READS: round(x * per_bp * 43_000), Y_READS: round(y * per_bp * 15_000)}


@pytest.mark.parametrize(
    ("x", "y", "sex"),
    [
        (1.0, 0.0, Sex.FEMALE),
        (0.97, 0.02, Sex.FEMALE),
        (0.5, 0.12, Sex.MALE),
        (0.52, 0.5, Sex.MALE),
        (0.5, 0.0, None),  # X0, or a mixture
        (1.0, 0.4, None),  # XXY, or a mixture
        (0.75, 0.1, None),
        (0.5, 0.03, None),
    ],
)
def test_sex_is_told_where_x_and_y_agree(x, y, sex):
    assert HUMAN.infer(counts(10_000, x, y)) is sex


def test_too_few_reads_tell_nothing():
    assert HUMAN.infer(counts(400, 1.0, 0.0)) is None
    assert HUMAN.infer({}) is None


def test_x_alone_tells_sex_where_y_is_not_looked_at():
    targets = (Interval("chr1", 0, 10_000), Interval("chrX", 0, 15_000))
    assert HUMAN.counted(targets) == {
        AUTOSOMAL: (Interval("chr1", 0, 10_000),),
        X_READS: (Interval("chrX", 5_000, 15_000),),
        Y_READS: (),
    }
    assert HUMAN.infer({AUTOSOMAL: 1_000, X_READS: 500}, targets) is Sex.MALE
    assert HUMAN.infer({AUTOSOMAL: 1_000, X_READS: 990}, targets) is Sex.FEMALE
    assert HUMAN.infer({AUTOSOMAL: 1_000}, (Interval("chr1", 0, 10_000),)) is None


def test_a_reference_without_sex_chromosomes_has_no_sex():
    assert Karyotype((Contig("chr1", 1_000),)).infer({AUTOSOMAL: 10_000}) is None
