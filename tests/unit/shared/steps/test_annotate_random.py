"""Names of random edits describe the edited sequences."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.steps.annotate import AnnotationFiles
from tests.toy_annotation import annotated, make_files
from tests.toy_genes import (
    GENOME,
    MINUS,
    PLUS,
    THREE,
    Call,
    complement,
    protein,
    ref,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> AnnotationFiles:
    return make_files(tmp_path_factory.mktemp("reference"))


_edits = st.lists(
    st.tuples(
        st.one_of(st.integers(990, 1575), st.integers(2990, 3510)),
        st.integers(0, 12),
        st.text("ACGT", max_size=9),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda edit: edit[0],
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_edits)
def test_names_of_random_edits_describe_the_edited_sequences(tmp_path, files, edits):
    calls = []
    for pos, removed, added in edits:
        before, after = ref(pos, removed + 1), ref(pos) + added
        if before != after:
            calls.append(Call(pos, before, after))
    if not calls:
        return
    for variant in annotated(tmp_path, files, *calls):
        allele = variant.allele
        start, end = allele.pos - 1, allele.pos - 1 + len(allele.ref)
        assert GENOME[start:end] == allele.ref
        mutated = GENOME[:start] + allele.alt + GENOME[end:]
        assert applied(GENOME, variant.hgvs_g.partition("g.")[2]) == mutated
        for consequence in variant.consequences:
            check_coding_name(consequence.hgvs_c, consequence.hgvs_p, start, end, len(allele.alt), mutated)


def check_coding_name(c_name: str, p_name: str, start: int, end: int, added: int, mutated: str) -> None:
    """An exonic c. name makes the mutated, spliced sequence, is as far 3' as it goes, and p. is its translation."""
    gene = {"T1": PLUS, "T2": MINUS}.get(c_name[:2])
    inside = gene and [first <= start + 1 and end <= last for first, last in gene.exons]
    if not gene or not any(inside):
        return
    cdna = gene.spliced(GENOME, gene.cdna)
    first = gene.cdna.index(gene.coding[0])
    # The mutated exon, spliced by hand; all others stay.
    pieces = []
    for (low, high), is_here in zip(gene.exons, inside, strict=True):
        after = mutated[low - 1 : high + added - (end - start)] if is_here else GENOME[low - 1 : high]
        pieces.append(after)
    spliced = "".join(pieces)
    if gene.strand == "-":
        spliced = "".join(map(complement, reversed(spliced)))
    text = c_name.partition("c.")[2]
    if re.search(r"\d[+-]", text):  # moved into an intron
        return
    shifted = re.sub(
        r"(\*?)(-?)(\d+)(?=[_A-Zdi])",
        lambda m: str(first - int(m[3]) + 1 if m[2] else int(m[3]) + first + (len(gene.coding) if m[1] else 0)),
        text,
    )
    lengths = [high - low + 1 for low, high in gene.exons][:: 1 if gene.strand == "+" else -1]
    junctions = tuple(sum(lengths[:count]) for count in range(1, len(lengths)))
    assert applied(cdna, shifted, junctions) == spliced, (c_name, shifted)
    if not p_name:
        return
    before = protein(gene.spliced(GENOME, gene.coding))
    after = protein(spliced[first:])
    after = after[: after.index("*") + 1] if "*" in after else after
    if match := re.search(r"p\.\(([A-Z][a-z]{2})(\d+)([A-Z][a-z]{2})fsTer(\d+|\?)\)", p_name):
        at = int(match[2]) - 1
        assert THREE[before[at]] == match[1]
        assert THREE[after[at]] == match[3]
        assert after[:at] == before[:at]
        if match[4] != "?":
            assert after.index("*") == at + int(match[4]) - 1
    elif match := re.search(r"p\.\(([A-Z][a-z]{2})(\d+)(Ter)\)", p_name):
        assert after == before[: int(match[2]) - 1] + "*"
    elif match := re.search(r"p\.\(([A-Z][a-z]{2})(\d+)=\)", p_name):
        assert after == before
    elif match := re.search(r"p\.\((?:[A-Z][a-z]{2})(\d+)(?:_[A-Z][a-z]{2}(\d+))?del\)", p_name):
        assert after == before[: int(match[1]) - 1] + before[int(match[2] or match[1]) :]


def applied(sequence: str, text: str, junctions: tuple[int, ...] = ()) -> str:
    """A sequence after an HGVS edit, by the plain reading of the name; numbers are 1-based.

    `junctions` are the ends of exons in the sequence, beyond which HGVS does not move a change.
    """
    match = re.fullmatch(r"(\d+)(?:_(\d+))?(?:([ACGT])>([ACGT])|(delins|del|dup|ins|inv)([ACGT]*))", text)
    assert match, text
    start, end = int(match[1]) - 1, int(match[2] or match[1])
    if match[4]:
        assert sequence[start] == match[3]
        return sequence[:start] + match[4] + sequence[start + 1 :]
    kind, new = match[5], match[6]
    if kind == "ins":
        assert end == start + 2
        return sequence[: start + 1] + new + sequence[start + 1 :]
    if kind in {"del", "dup"}:
        # HGVS's 3' rule: the same change cannot be written further to the right.
        unit = sequence[start:end]
        assert kind == "dup" or end in junctions or not sequence[end:].startswith(unit[0]), text
    middle = {
        "del": "",
        "dup": sequence[start:end] * 2,
        "delins": new,
        "inv": "".join(map(complement, reversed(sequence[start:end]))),
    }[kind]
    return sequence[:start] + middle + sequence[end:]
