"""`./run sample` drops the other files that the order names."""

from pathlib import Path

import pytest

from infra.local.commands.sample import _named_files
from shared.errors import PermanentError
from tests.factories import make_order


def test_the_bed_beside_the_order_is_dropped_with_it(tmp_path: Path) -> None:
    order_file = tmp_path / "order.json"
    order = make_order(options={"targets": "panel.bed"})
    with pytest.raises(PermanentError, match=r"panel\.bed is not there; the order names it as its `targets`"):
        _named_files(order, tmp_path, order_file)
    (tmp_path / "panel.bed").write_text("chr1\t0\t1\n")
    assert _named_files(order, tmp_path, order_file) == (tmp_path / "panel.bed",)
    assert _named_files(make_order(), tmp_path, order_file) == ()
    assert _named_files(make_order(), tmp_path, None) == ()


def test_the_fingerprint_lies_with_the_fastq_files(tmp_path: Path) -> None:
    order = make_order(fingerprint="known.vcf")
    with pytest.raises(PermanentError, match=r"known\.vcf is not there; the order names it as its `fingerprint`"):
        _named_files(order, tmp_path, None)
    (tmp_path / "known.vcf").write_text("##fileformat=VCFv4.2\n")
    assert _named_files(order, tmp_path, None) == (tmp_path / "known.vcf",)
