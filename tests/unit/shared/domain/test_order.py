"""Orders: what is accepted, and what the lab is told otherwise."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.commands.order_schema import TARGET, schema_text
from shared.domain.order import Order, parse_order
from shared.errors import PermanentError
from tests.factories import make_order

BLOB = "NA00001/order.json"
SECRET = "Jane-Q-Patient-1987"


def order_json(**fields: Any) -> dict[str, Any]:
    return {
        "sample": "NA00001",
        "patient": {"reference": "Patient/123"},
        "test": {"code": "wes", "display": "Exome"},
        "reference": "grch38-2026.1",
        **fields,
    }


def refusal(value: Any, blob: str = BLOB) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(PermanentError) as caught:
        parse_order(data, blob)
    return str(caught.value)


def test_the_shortest_order_is_read_with_its_defaults() -> None:
    order = parse_order(json.dumps(order_json()).encode(), BLOB)
    assert order.files is None
    assert order.specimen.type == "BLD"
    assert order.options.caller == "bcftools"


def test_a_full_order_is_read_back_from_its_own_json() -> None:
    order = make_order(
        files=("NA00001_R1.fastq.gz", "NA00001_R2.fastq.gz"),
        requisition={"system": "urn:x", "value": "R1"},
        specimen={"accession": "A1", "type": "SAL", "collected": "2026-03-01T08:00:00Z"},
    )
    assert parse_order(order.to_json(), BLOB) == order


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample": "../x"}, "sample: String should match pattern"),
        ({"sample": "a" * 65}, "sample: String should match pattern"),
        ({"sample": "NA00001\n"}, "sample: String should match pattern"),  # a newline is not the end
        ({"reference": "GRCh38"}, "reference: String should match pattern"),
        ({"refrence": "x"}, "refrence: Extra inputs are not permitted"),  # misspelt
        ({"test": {"code": "", "display": "x"}}, "test.code: String should have at least 1 character"),
        ({"patient": {}}, "give either `reference`"),
        ({"patient": {"reference": "Patient/1", "identifier": {"system": "a", "value": "b"}}}, "give either"),
        ({"patient": {"reference": "Practitioner/1"}}, "patient.reference: String should match pattern"),
        ({"files": []}, "`files` is empty: name at least one R1/R2 pair"),
        ({"files": ["../x/NA00001_R1.fastq.gz"]}, "or of a folder below it, such as NA00001_S1_L001_R1_001.fastq.gz"),
        ({"files": ["/NA00001_R1.fastq.gz"]}, "name FASTQ files of this folder"),
        ({"files": ["https://x/NA00001_R1.fastq.gz"]}, "name FASTQ files of this folder"),
        ({"files": ["NA00001.bam"]}, "`files` names 'NA00001.bam'"),
        ({"files": ["a_R1.fq", "a_R1.fq"]}, "`files` names a file twice"),
        ({"options": {"caller": "freebayes"}}, "options.caller: Input should be 'bcftools' or 'gatk'"),
        ({"schema_version": 2}, "schema_version: Input should be less than or equal to 1"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(fields: dict[str, Any], message: str) -> None:
    text = refusal(order_json(**fields))
    assert text.startswith(f"landing/{BLOB} is not a valid order: ")
    assert message in text
    assert text.endswith("Correct it and upload it again; docs/order.schema.json describes it.")


@pytest.mark.parametrize("field", ["sample", "patient", "test", "reference"])
def test_a_missing_field_is_named(field: str) -> None:
    value = order_json()
    del value[field]
    assert f"{field}: Field required" in refusal(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"sample": "NA1"', "is not JSON: Expecting ',' delimiter at line 1, column 17"),
        (b"", "is not JSON: Expecting value at line 1, column 1"),
        (b"\xff\xfe\xfa", "is not UTF-8 text"),
        (b'{"sample": "\xe4"}', "is not UTF-8 text: invalid continuation byte"),  # Latin-1
        (b"[]", "is not a valid order: order: Input should be"),
        (b"[" * 100_000, "is not JSON: it is nested too deeply"),
        (b"1" * 5_000, "is not JSON: "),  # a number longer than Python reads
    ],
)
def test_what_is_no_json_object_is_refused_with_the_place(data: bytes, message: str) -> None:
    assert message in refusal(data)


def test_an_order_in_another_samples_folder_is_refused() -> None:
    text = refusal(order_json(), "NA00002/order.json")
    assert "is an order for sample NA00001 but lies in the folder NA00002" in text
    assert "Put it into the folder of its sample" in text


@pytest.mark.parametrize(
    "patient",
    [
        {"reference": SECRET},
        {"reference": f"Patient/{SECRET}?"},
        {"identifier": {"system": "", "value": SECRET}},
        {"identifier": {"value": SECRET}},
        {"identifier": SECRET},
        SECRET,
        [SECRET],
        {"reference": "Patient/1", "identifier": {"system": "x", "value": SECRET}},
        {"name": SECRET},
    ],
)
def test_no_message_repeats_what_stands_in_the_patients_fields(patient: Any) -> None:
    assert SECRET not in refusal(order_json(patient=patient))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(PermanentError, match=r"landing/NA00001/order\.json"):
        parse_order(data, BLOB)


@given(data=st.data())
def test_json_of_any_kind_is_read_or_refused_and_the_message_can_be_filed(data: st.DataObject) -> None:
    value = order_json()
    for field in data.draw(st.sets(st.sampled_from([*Order.model_fields, "more"]), max_size=3)):
        value[field] = data.draw(json_values)
    try:
        parse_order(json.dumps(value).encode(), BLOB)
    except PermanentError as error:
        str(error).encode()


@given(text=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=12, max_size=60))
def test_no_text_in_the_patients_reference_comes_back_in_a_message(text: str) -> None:
    try:
        parse_order(json.dumps(order_json(patient={"reference": text, "identifier": text})).encode(), BLOB)
    except PermanentError as error:
        assert text not in str(error)  # noqa: PT017 - either outcome is right


def test_a_lone_surrogate_in_a_field_or_a_fields_name_is_refused_with_a_message_that_can_be_filed() -> None:
    for data in (
        b'{"sample": "\\ud800"}',
        b'{"\\ud800": 1}',
    ):
        refusal(data).encode()


def test_the_published_schema_is_that_of_the_code() -> None:
    assert TARGET.read_text(encoding="utf-8") == schema_text(), "run: ./run order-schema"


def test_the_schema_takes_what_the_code_takes_and_refuses_a_misspelt_field() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(TARGET.read_text(encoding="utf-8")))
    validator.check_schema(validator.schema)
    validator.validate(order_json())
    validator.validate(make_order(files=("NA00001_R1.fastq.gz",)).model_dump(mode="json"))
    template = {"patient_system": "urn:x", "test": {"code": "wes", "display": "Exome"}, "reference": "demo"}
    validator.validate(template)
    assert not validator.is_valid({**template, "files": ["a_R1.fq"]})
    for wrong in ({"refrence": "x"}, {"sample": "../x"}, {"files": "a_R1.fq"}):
        assert not validator.is_valid(order_json(**wrong))
