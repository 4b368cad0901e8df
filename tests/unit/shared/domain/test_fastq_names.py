"""Names of FASTQ files by the conventions in use."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fastq_names import BESIDE_ENDINGS, FASTQ_ENDINGS, is_fastq, is_inside, parse_fastq_name

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a.fastq.gz", True),
        ("a.fq", True),
        ("a.fq.zst", True),
        ("a.fastq.bz2", False),
        ("order.json", False),
        ("fastq.gz.md5", False),
    ],
)
def test_a_fastq_is_known_by_its_ending(name: str, answer: bool) -> None:
    assert is_fastq(name) is answer


def test_every_ending_starts_ingest() -> None:
    subscriptions = json.loads((ROOT / "infra" / "subscriptions.json").read_text())
    (ingest,) = [one for one in subscriptions if one["name"] == "ingest"]
    (condition,) = ingest["filter"]["advancedFilters"]
    assert (condition["operatorType"], condition["key"]) == ("StringEndsWith", "subject")
    assert condition["values"] == [
        *FASTQ_ENDINGS, "/order.json", "/cohort.json", "/samplesheet.csv", *BESIDE_ENDINGS,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "samples", "lane"),
    [
        ("NA1_S1_L003_R1_001.fastq.gz", ("NA1", "NA1_S1", "NA1_S1_L003"), 3),
        ("NA1_S12_R1_001.fastq.gz", ("NA1", "NA1_S12"), None),  # without lane splitting
        ("NA1_R1.fq", ("NA1",), None),
        ("X_S1_S2_L001_2.fq", ("X_S1", "X_S1_S2", "X_S1_S2_L001"), 1),
    ],
)
def test_a_name_tells_its_sample_and_lane(name: str, samples: tuple[str, ...], lane: int | None) -> None:
    parsed = parse_fastq_name(name)
    assert parsed is not None
    assert (parsed.samples, parsed.lane) == (samples, lane)


@given(
    stem=st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True),
    mate=st.sampled_from(["_R1", "_R2", "_1", "_2", "_R1_001", "_R2_004"]),
    ending=st.sampled_from(FASTQ_ENDINGS),
)
def test_the_mate_of_the_mate_is_the_file_itself(stem: str, mate: str, ending: str) -> None:
    name = f"{stem}{mate}{ending}"
    parsed = parse_fastq_name(name)
    if parsed is None:  # stem_R1_2
        assert stem.upper().endswith(("_R1", "_R2", "_I1", "_I2"))
        return
    other = parse_fastq_name(parsed.mate_name)
    assert other is not None
    assert (other.mate_name, other.mate) == (name, 3 - parsed.mate)
    assert (other.stem, other.part) == (parsed.stem, parsed.part)
    assert name.startswith(parsed.stem)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("a.fq", True),
        ("run1/a.fq", True),
        ("../a.fq", False),
        ("a/../b.fq", False),
        ("/a.fq", False),
        ("a//b.fq", False),
        ("./a.fq", False),
        ("https://x/a.fq", False),
        ("a\\b.fq", False),
        ("", False),
    ],
)
def test_a_path_stays_inside_its_folder(path: str, answer: bool) -> None:
    assert is_inside(path) is answer
