"""A shard called in windows gives what it gives when called at once."""

import gzip
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pysam
import pytest

from batch_worker.engine.bam_stream import BamStream
from batch_worker.engine.bgzf import read_bgzf, unpacked_size, write_bgzf
from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.header import read_dict
from batch_worker.engine.windowed import WindowCutter, call_in_windows, choose_windows
from shared.domain.genome import Shard, cut_shards
from shared.errors import PermanentError
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs
from tests.engine_pipeline import BATCH_PAIRS, HALO_BP, Outcome, align_all

SHARD_BP = 9_000
"""Two shards: the first ends inside chrB, the last has the unplaced reads."""


@pytest.fixture(scope="module")
def shards(reference: Path) -> tuple[Shard, ...]:
    return cut_shards(read_dict(reference.with_name("reference.fa.dict")), SHARD_BP)


@pytest.fixture(scope="module")
def parts(world, reference, shards, tmp_path_factory) -> list[list[Path]]:
    """The parts of each shard, of many chunks."""
    aligned = align_all(world, reference, tmp_path_factory.mktemp("parts"), shards, 3 * BATCH_PAIRS)
    return [[summary.parts[shard.number].path for summary in aligned] for shard in shards]


@pytest.fixture(scope="module")
def at_once(parts, shards, reference, tmp_path_factory) -> list[CallSummary]:
    windows: list[Shard] = []
    called = run(parts, shards, reference, tmp_path_factory.mktemp("once"), windows)
    assert windows == list(shards)  # what fits is called as it is
    return called


def run(parts, shards, reference: Path, work: Path, windows: list[Shard], **limits: int) -> list[CallSummary]:
    def call_one(pieces: Sequence[Path], piece: Shard, out_dir: Path) -> CallSummary:
        windows.append(piece)
        return call_shard(
            pieces, shard=piece, reference=reference, halo_bp=HALO_BP, options=CallOptions(), out_dir=out_dir,
            log=work / "log",
        )  # fmt: skip

    contigs = read_dict(reference.with_name("reference.fa.dict"))
    call_it = partial(call_in_windows, contigs=contigs, halo_bp=HALO_BP, call_one=call_one, **limits)
    return [call_it(parts[shard.number], shard, out_dir=work / str(shard.number)) for shard in shards]


def text(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def lines(bam: Path) -> list[str]:
    with pysam.AlignmentFile(str(bam)) as opened:
        return [str(opened.header), *(record.to_string() for record in opened.fetch(until_eof=True))]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("limits", "least"),
    [
        ({"window_bytes": 400_000}, 4),
        ({"window_bp": 3_000}, 6),
    ],
)
def test_windows_leave_no_trace(
    parts, shards, reference, at_once, whole: Outcome, tmp_path: Path, limits: dict[str, int], least: int
) -> None:
    windows: list[Shard] = []
    called = run(parts, shards, reference, tmp_path, windows, **limits)
    assert len(windows) >= least
    for one, other in zip(at_once, called, strict=True):
        assert lines(other.bam) == lines(one.bam)
        assert text(other.gvcf) == text(one.gvcf)
        assert sorted(text(other.vcf).splitlines()) == sorted(text(one.vcf).splitlines())
        assert (other.depth, other.variants) == (one.depth, one.variants)
        assert (other.reads, other.gvcf_records) == (one.reads, one.gvcf_records)
        assert [path.name for path in sorted(other.bam.parent.iterdir())] == [
            "shard.bam", "shard.g.vcf.gz", "shard.vcf.gz",
        ]  # fmt: skip
    gathered = (
        gather_vcfs([s.vcf for s in called], tmp_path / "all.vcf.gz"),
        gather_gvcfs([s.gvcf for s in called], tmp_path / "all.g.vcf.gz"),
    )
    assert [one.path.read_bytes() for one in gathered] == [one.path.read_bytes() for one in (whole.vcf, whole.gvcf)]
    assert lines(gather_bams([s.bam for s in called], tmp_path / "all.bam").path) == lines(whole.bam.path)


@pytest.mark.parametrize("limit", [1, 200_000, 400_000, 800_000])
def test_windows_cover_the_shard_once_and_hold_no_more_than_allowed(
    parts, shards, reference, tmp_path: Path, limit: int
) -> None:
    contigs = read_dict(reference.with_name("reference.fa.dict"))
    for shard in shards:
        windows = choose_windows(parts[shard.number], shard, contigs, HALO_BP, limit, 10**9)
        covered = [interval for window in windows for interval in window.intervals]
        for interval in shard.intervals:
            pieces = [piece for piece in covered if piece.contig == interval.contig]
            assert [pieces[0].start, pieces[-1].end] == [interval.start, interval.end]
            assert all(one.end == other.start for one, other in itertools.pairwise(pieces))
        cutter = WindowCutter(windows, contigs, HALO_BP, tmp_path / str(shard.number))
        for number, part in enumerate(parts[shard.number]):
            cutter.cut(part, f"{number}.bam")
        cutter.close()
        for window, folder in zip(windows, cutter.folders, strict=True):
            cut = list((folder / "parts").iterdir())
            assert len(cut) == len(parts[shard.number])
            held = sum(unpacked_size(path) - len(BamStream(path).header) for path in cut)
            assert held <= limit or sum(piece.length for piece in window.intervals) <= 1_024


def test_a_stream_gives_the_records_of_the_file(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_worker.engine.bam_stream._PIECE_BYTES", 1_000)
    stream = BamStream(parts[0][0])
    pieces = [records.buffer.tobytes() for records in stream]
    assert len(pieces) > 10
    assert stream.header + b"".join(pieces) == read_bgzf(parts[0][0])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "has no BGZF end marker"),
        (lambda data: data[:2_000] + bytes([data[2_000] ^ 255]) + data[2_001:], "is damaged"),
        (lambda data: b"", "has no BGZF end marker"),
    ],
)
def test_a_damaged_part_is_refused(parts, tmp_path: Path, damage, message: str) -> None:
    bad = tmp_path / "bad.bam"
    bad.write_bytes(damage(parts[0][0].read_bytes()))
    with pytest.raises(PermanentError, match=rf"bad\.bam {message}"):
        list(BamStream(bad))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"VCF!", "is no BAM file"), (b"BAM\x01\xff", "ends inside its header")],
)
def test_what_is_no_bam_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    bad = tmp_path / "bad.bam"
    write_bgzf(bad, [content])
    with pytest.raises(PermanentError, match=message):
        BamStream(bad)


def test_the_unpacked_size_is_that_of_the_content(parts, tmp_path: Path) -> None:
    for path in parts[0]:
        assert unpacked_size(path) == len(read_bgzf(path))
    (tmp_path / "cut.bam").write_bytes(parts[0][0].read_bytes()[:-40])
    with pytest.raises(PermanentError, match=r"cut\.bam is no BGZF file at byte .*, or cut off"):
        unpacked_size(tmp_path / "cut.bam")
