"""Single-end reads, and reads of 35 to 300 bp: the records that `bwa mem` gives, the same however they are cut."""

import itertools
import random
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest

from batch_worker.engine.align import AlignSummary, align_chunk
from batch_worker.engine.header import SamReadGroup, read_dict
from batch_worker.engine.single_reads import as_single
from shared.domain.genome import cut_shards
from shared.errors import LedgerError
from tests.engine_pipeline import BATCH_PAIRS, HALO_BP, Outcome, run_pipeline
from tests.simulate import World, make_world
from tests.unit.batch_worker.engine.test_duplicates import duplicates, marked_as_they_lie

GROUP = SamReadGroup("L1", "NA1", "lib1", "ILLUMINA", "F1.L1")
STORED = Path(__file__).parents[3] / "data" / "single_end.sam"
STORED_READS = 121
NEEDS_BWA = pytest.mark.skipif(shutil.which("bwa") is None, reason="no `bwa` program to compare with")


def singles_of(text: bytes) -> bytes:
    """Interleaved pairs as single reads, each with a name of its own."""
    lines = text.splitlines(keepends=True)
    for number, at in enumerate(range(0, len(lines), 4)):
        name, _, _ = lines[at].partition(b" ")
        lines[at] = b"%b:%d 1:N:0:AC\n" % (name, number % 2)
    return b"".join(lines)


def single_world(world: World, lanes: tuple[str, ...] = ("L1", "L2")) -> World:
    groups = {lane: singles_of(text) if lane in lanes else text for lane, text in world.read_groups.items()}
    return World(world.contigs, groups)


def first_reads(text: bytes, count: int) -> bytes:
    return b"".join(text.splitlines(keepends=True)[: 4 * count])


def align(text: bytes, reference: Path, work: Path, *, single_end: bool, batch_pairs: int = 10**6) -> AlignSummary:
    work.mkdir(exist_ok=True)
    (work / "reads.fastq").write_bytes(text)
    return align_chunk(
        work / "reads.fastq", index_prefix=reference, read_group=GROUP, single_end=single_end, halo_bp=HALO_BP,
        shards=cut_shards(read_dict(reference.with_name("reference.fa.dict")), 10**9), batch_pairs=batch_pairs,
        threads=1, out_dir=work / "parts", log=work / "align.log",
    )  # fmt: skip


def sam_lines(text: str) -> list[str]:
    """Records in one order, without the tags that bwa 0.7.17 does not write (HN, MQ) and that for duplicates (md)."""
    records = [line.split("\t") for line in text.splitlines() if not line.startswith("@")]
    return sorted("\t".join(f for f in record if f[:5] not in {"HN:i:", "MQ:i:", "md:B:"}) for record in records)


def ours(summary: AlignSummary) -> list[str]:
    with pysam.AlignmentFile(str(summary.parts[0].path)) as bam:
        return sam_lines("\n".join(record.to_string() for record in bam.fetch(until_eof=True)))


def bwa_mem(reference: Path, work: Path, *, single_end: bool) -> list[str]:
    """What bwa gives of the reads that `align` left in the folder."""
    fasta = work / "bwa.fa"
    fasta.write_bytes(reference.read_bytes())
    subprocess.run(["bwa", "index", str(fasta)], check=True, capture_output=True)
    pairs = [] if single_end else ["-p"]
    argv = ["bwa", "mem", *pairs, "-R", f"@RG\\tID:{GROUP.id}", str(fasta), str(work / "reads.fastq")]
    return sam_lines(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.fixture(scope="session")
def single_whole(world: World, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    work = tmp_path_factory.mktemp("single")
    return run_pipeline(single_world(world), reference, work, shard_bp=10**9, singles=("L1", "L2"))


@NEEDS_BWA
def test_single_reads_give_the_records_of_bwa(world, reference, tmp_path):
    text = singles_of(world.read_groups["L1"])
    found = ours(align(text, reference, tmp_path, single_end=True))
    assert found == bwa_mem(reference, tmp_path, single_end=True)
    flags = {int(line.split("\t")[1]) for line in found}
    assert {0, 4, 16} <= flags
    assert any(flag & 0x800 for flag in flags)
    assert any("\tXA:Z:" in line for line in found)


@NEEDS_BWA
def test_the_stored_records_are_those_of_bwa(world, reference, tmp_path):
    (tmp_path / "reads.fastq").write_bytes(first_reads(singles_of(world.read_groups["L1"]), STORED_READS))
    assert sam_lines(STORED.read_text()) == bwa_mem(reference, tmp_path, single_end=True)


def test_an_odd_number_of_single_reads_gives_the_stored_records(world, reference, tmp_path):
    text = first_reads(singles_of(world.read_groups["L1"]), STORED_READS)
    summary = align(text, reference, tmp_path, single_end=True)
    assert ours(summary) == sam_lines(STORED.read_text())
    assert (summary.pairs, summary.primary) == (STORED_READS, STORED_READS)


def test_single_records_say_nothing_of_a_mate(single_whole: Outcome):
    with pysam.AlignmentFile(str(single_whole.bam.path)) as bam:
        records = list(bam.fetch(until_eof=True))
    assert {r.flag & (0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x80) for r in records} == {0}
    assert {(r.next_reference_id, r.next_reference_start, r.template_length) for r in records} == {(-1, -1, 0)}
    assert not any(r.has_tag("MC") or r.has_tag("MQ") or r.has_tag("md") for r in records)
    unmapped = [r for r in records if r.is_unmapped]
    assert len(unmapped) > 10
    assert {(r.reference_id, r.reference_start, r.bin, r.flag) for r in unmapped} == {(-1, -1, 4680, 4)}


def test_every_single_read_comes_out_under_its_own_name_as_it_came_in(world, single_whole: Outcome):
    lines = singles_of(world.read_groups["L1"] + world.read_groups["L2"]).decode().splitlines()
    came = {lines[at][1:].split()[0]: (lines[at + 1], lines[at + 3]) for at in range(0, len(lines), 4)}
    with pysam.AlignmentFile(str(single_whole.bam.path)) as bam:
        primary = [r for r in bam.fetch(until_eof=True) if not r.is_secondary and not r.is_supplementary]
    assert len(primary) == len(came) == sum(one.pairs for one in single_whole.aligned)
    assert {r.query_name: (r.get_forward_sequence(), _qualities(r)) for r in primary} == came


def _qualities(record: pysam.AlignedSegment) -> str:
    return "".join(chr(quality + 33) for quality in record.get_forward_qualities() or ())


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("shard_bp", "chunk_pairs", "threads"),
    [
        pytest.param(10**9, BATCH_PAIRS, 2, id="many chunks, two threads"),
        pytest.param(2_500, 2 * BATCH_PAIRS, 1, id="five shards"),
    ],
)
def test_cuts_of_single_reads_leave_no_trace(
    world, reference, single_whole: Outcome, tmp_path, shard_bp, chunk_pairs, threads
):
    cut = run_pipeline(single_world(world), reference, tmp_path, shard_bp, chunk_pairs, threads, singles=("L1", "L2"))
    for one, other in ((cut.vcf, single_whole.vcf), (cut.gvcf, single_whole.gvcf)):
        assert one.path.read_bytes() == other.path.read_bytes()
    assert _text(cut.bam.path) == _text(single_whole.bam.path)
    assert sum(s.reads.duplicates for s in cut.called) == single_whole.called[0].reads.duplicates


def _text(path: Path) -> list[str]:
    with pysam.AlignmentFile(str(path)) as bam:
        return [str(bam.header), *(record.to_string() for record in bam.fetch(until_eof=True))]


def test_the_caller_sees_single_reads(whole: Outcome, single_whole: Outcome):
    def passing(outcome: Outcome) -> set[tuple[str, int, str]]:
        with pysam.VariantFile(str(outcome.vcf.path)) as vcf:
            return {(v.chrom, v.pos, str(v.alts)) for v in vcf if "PASS" in v.filter}

    paired, single = passing(whole), passing(single_whole)
    assert len(single & paired) > 0.8 * len(paired) > 60


@pytest.mark.parametrize("lanes", [("L1", "L2"), ("L2",)], ids=["single reads only", "pairs and single reads"])
def test_duplicate_flags_of_single_reads_equal_those_of_samtools(reference, tmp_path, lanes):
    crowded = single_world(make_world(pairs=700, start_step=40), lanes)
    outcome = run_pipeline(crowded, reference, tmp_path, shard_bp=10**9, singles=lanes)
    theirs = marked_as_they_lie(outcome.bam.path, tmp_path)
    assert sum(theirs.values()) > 200
    assert duplicates(outcome.bam.path) == theirs


def reads_of(world: World, lengths: tuple[int, ...], count: int) -> bytes:
    """Pairs of the reference with a wrong base here and there; each pair has the next of the lengths."""
    rng = random.Random(3)
    letters, turn = world.contigs["chrA"], str.maketrans("ACGTN", "TGCAN")
    out = []
    for number, size in zip(range(count), itertools.cycle(lengths), strict=False):
        start = rng.randrange(len(letters) - 2 * size - 60)
        fragment = letters[start : start + size + rng.randrange(30, size + 60)]
        if rng.random() < 0.5:
            fragment = fragment.translate(turn)[::-1]
        for mate, read in ((1, fragment[:size]), (2, fragment.translate(turn)[::-1][:size])):
            bases = [rng.choice("ACGT") if rng.random() < 0.01 else base for base in read]
            out.append(f"@R{number} {mate}:N:0:AC\n{''.join(bases)}\n+\n{'F' * size}\n")
    return "".join(out).encode()


def test_reads_of_no_origin_beside_mapped_ones_keep_their_letters(world, reference, tmp_path):
    # The aligner lays an unmapped read beside its neighbour, on that one's strand: it must be turned back.
    rng = random.Random(5)
    mapped = reads_of(world, (35, 151, 76, 300), 100).decode().splitlines()
    lines = []
    for number, at in enumerate(range(0, len(mapped), 4)):
        size = rng.choice([1, 2, 19, 35, 76, 151])
        letters, quality = "".join(rng.choices("ACGTN", k=size)), "".join(rng.choices("#,:FI", k=size))
        lines += [f"@m{number}", mapped[at + 1], "+", mapped[at + 3], f"@u{number}", letters, "+", quality]
    lines += ["@last", "ACGTN", "+", "#,:FI"]
    summary = align("\n".join([*lines, ""]).encode(), reference, tmp_path, single_end=True, batch_pairs=37)
    with pysam.AlignmentFile(str(summary.parts[0].path)) as bam:
        found = {
            r.query_name: (r.get_forward_sequence(), _qualities(r))
            for r in bam.fetch(until_eof=True)
            if not r.is_secondary and not r.is_supplementary
        }
    assert found == {lines[at][1:]: (lines[at + 1], lines[at + 3]) for at in range(0, len(lines), 4)}
    assert summary.unplaced > 150
    if shutil.which("bwa") is not None:
        placed = {tuple(line.split("\t")[:6]) for line in ours(summary)}
        theirs = {tuple(line.split("\t")[:6]) for line in bwa_mem(reference, tmp_path, single_end=True)}
        assert len(placed & theirs) > 0.98 * len(theirs)  # ties are broken per batch


@pytest.mark.thorough
def test_duplicates_of_reads_of_mixed_lengths_and_one_quality_equal_those_of_samtools(world, reference, tmp_path):
    few = World({**world.contigs, "chrA": world.contigs["chrA"][:900]}, {})
    text = singles_of(reads_of(few, (35, 76, 35, 150), 600))
    outcome = run_pipeline(World(world.contigs, {"L1": text}), reference, tmp_path, 10**9, singles=("L1",))
    theirs = marked_as_they_lie(outcome.bam.path, tmp_path)
    assert sum(theirs.values()) > 200
    assert duplicates(outcome.bam.path) == theirs
    cut = run_pipeline(World(world.contigs, {"L1": text}), reference, tmp_path / "cut", 301, 200, singles=("L1",))
    assert duplicates(cut.bam.path) == theirs


@pytest.mark.parametrize("single_end", [False, True], ids=["paired", "single"])
@pytest.mark.parametrize("lengths", [(35,), (76,), (150,), (300,), (35, 300, 76, 151)], ids=str)
def test_reads_of_35_to_300_bp_are_placed_where_they_came_from(world, reference, tmp_path, lengths, single_end):
    pairs = reads_of(world, lengths, 160)
    summary = align(singles_of(pairs) if single_end else pairs, reference, tmp_path, single_end=single_end)
    assert (summary.pairs, summary.primary) == (320 if single_end else 160, 320)
    assert summary.metrics.primary_mapped >= 300  # some lie in the run of Ns
    if not single_end and len(lengths) == 1:
        assert summary.metrics.properly_paired > 290
    if shutil.which("bwa") is not None:
        assert ours(summary) == bwa_mem(reference, tmp_path, single_end=single_end)


@pytest.mark.parametrize("lengths", [(35,), (300,), (35, 300, 76, 151)], ids=str)
def test_variants_are_called_from_short_and_long_single_reads(world, reference, tmp_path, lengths):
    # The donor has the reference's letters but for one base, so that one record tells whether the caller sees reads.
    at = 4_321
    base = world.contigs["chrA"][at]
    changed = dict(
        world.contigs, chrA=world.contigs["chrA"][:at] + "ACGT"["TACG".index(base)] + world.contigs["chrA"][at + 1 :]
    )
    deep = World(changed, {})
    text = singles_of(reads_of(deep, lengths, 400 if min(lengths) > 35 else 2_500))
    outcome = run_pipeline(World(changed, {"L1": text}), reference, tmp_path, 10**9, singles=("L1",), halo_bp=900)
    with pysam.VariantFile(str(outcome.vcf.path)) as vcf:
        assert ("chrA", at + 1) in {(v.chrom, v.pos) for v in vcf if "PASS" in v.filter}


def test_the_header_says_which_kinds_of_reads_there_are(
    whole: Outcome, single_whole: Outcome, world, reference, tmp_path
):
    mixed = run_pipeline(single_world(world, ("L2",)), reference, tmp_path, 4_000, singles=("L2",))
    for outcome, words in ((whole, "paired"), (single_whole, "single-end"), (mixed, "paired and single-end")):
        with pysam.AlignmentFile(str(outcome.bam.path)) as bam:
            program = bam.header.to_dict()["PG"][0]
        assert program["DS"] == f"BWA-MEM, {words}, default options"


def test_records_that_are_not_one_per_read_are_refused():
    with pytest.raises(LedgerError, match="one primary record for each of 1 single reads"):
        as_single([], [b"a"])
