"""What the documents say of commands, files and orders is so."""

import json
import re
from pathlib import Path

import pytest

from infra.local.__main__ import COMMANDS, PARTS, main
from shared.domain.order import parse_order

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    for command in re.findall(r"\./run ([a-z][a-z-]+)", document.read_text()):
        assert command in {*COMMANDS, "local"}, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_linked_file_is_there(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_file_of_the_code_is_there(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"`((?:shared|infra|batch_worker|function_app|tests|docs)/[\w./-]+\.\w+)`", text):
        assert (ROOT / target).exists(), target


def test_the_readmes_order_is_one_that_is_accepted() -> None:
    block, limits = re.findall(r"```json\n(.+?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    document = json.loads(block) | json.loads(f"{{{limits}}}")
    block = json.dumps(document)
    order = parse_order(block.encode(), f"{json.loads(block)['sample']}/order.json")
    assert order.files


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), *(["local", part] for part in PARTS)])
def test_every_command_tells_its_options(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: ./run" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--reference", "--gff", "--clinvar", "--fastq", "--order", "--out"])
def test_the_sample_command_has_the_readmes_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    assert option in capsys.readouterr().out
