"""`./run sample` of single-end reads: they are taken where the option or the order says so."""

from pathlib import Path

import pytest

from infra.local.commands.sample import _fastqs, _order, _says_single_end
from shared.errors import PermanentError
from tests.factories import make_order


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("NA1.fastq.gz", "NA1_L002_R1_001.fastq.gz", "NA1_L002_I1_001.fastq.gz"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_single_end_files_of_any_name_give_an_order(folder: Path) -> None:
    fastqs = _fastqs(folder, single_end=True)
    assert [path.name for path in fastqs] == ["NA1.fastq.gz", "NA1_L002_R1_001.fastq.gz"]
    order = _order(None, fastqs, "demo", single_end=True)
    assert (order.sample, order.single_end, order.files) == ("NA1", True, tuple(path.name for path in fastqs))


def test_without_the_option_a_mate_is_missed(folder: Path) -> None:
    with pytest.raises(PermanentError, match=r"lacks NA1_L002_R2_001\.fastq\.gz\. Every R1 needs its R2"):
        _fastqs(folder, single_end=False)


def test_an_order_says_it_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    assert not _says_single_end(None)
    assert not _says_single_end(path)
    for single_end in (True, False):
        path.write_bytes(make_order(single_end=single_end).to_json())
        assert _says_single_end(path) is single_end
