"""`./run sample` drops the BED that the order names."""

from pathlib import Path

import pytest

from infra.local.commands.sample import _targets
from shared.errors import PermanentError
from tests.factories import make_order


def test_the_bed_beside_the_order_is_dropped_with_it(tmp_path: Path) -> None:
    order_file = tmp_path / "order.json"
    order = make_order(options={"targets": "panel.bed"})
    with pytest.raises(PermanentError, match=r"names panel\.bed, which is not beside it"):
        _targets(order, order_file)
    (tmp_path / "panel.bed").write_text("chr1\t0\t1\n")
    assert _targets(order, order_file) == tmp_path / "panel.bed"
    assert _targets(make_order(), order_file) is None
    assert _targets(make_order(), None) is None
