"""What all orders of a run share: `landing/{run}/order.json` beside a sample sheet."""

import re
from typing import Annotated, Any, Self

from pydantic import Field as Described
from pydantic import ValidationError, model_validator

from shared.domain.ids import Document
from shared.domain.order import BundleName, LateFiles, Options, Order, Specimen, Test, faults_of
from shared.domain.sheet import Field, SheetSample
from shared.domain.thresholds import Limits
from shared.errors import PermanentError


class OrderTemplate(Document):
    """The order of every sample of a run, without what the sample sheet says.

    A column of the sheet goes before a field of the template.
    """

    schema_version: Annotated[int, Described(ge=1, le=1)] = 1
    patient_system: Annotated[
        str | None, Described(min_length=1, description="URI of the system that issues the sheet's patient identifiers")
    ] = None
    patients: Annotated[
        dict[str, str],
        Described(
            description="Patient by sample, for sheets that have no column of patients: an identifier, or Patient/ID"
        ),
    ] = Described(default_factory=dict)
    requisition_system: Annotated[
        str | None, Described(min_length=1, description="URI of the system that issues the sheet's requisitions")
    ] = None
    test: Test | None = None
    single_end: Annotated[bool, Described(description="As in an order")] = False
    reference: Annotated[BundleName | None, Described(description="Name of an installed reference bundle")] = None
    specimen: Annotated[Specimen, Described(description="As in an order, without `accession`")] = Specimen()
    qc: Annotated[Limits, Described(default_factory=dict, description="As in an order")]
    options: Options = Options()
    late_files: LateFiles = LateFiles.NEW_ANALYSIS

    @model_validator(mode="after")
    def _check_specimen(self) -> Self:
        if self.specimen.accession is not None:
            raise ValueError("`specimen.accession` belongs to one sample: give it in the sheet's column `accession`")
        return self


def order_of(sample: SheetSample, template: OrderTemplate) -> Order:
    """The order of one sample of a sheet.

    Raises:
        PermanentError: When something is missing or wrong; the message names columns and fields, and no patient.
    """
    given = sample.fields
    values: dict[str, Any] = {
        "sample": sample.sample,
        "patient": _patient(sample, template),
        "test": _test(sample, template),
        "reference": given.get(Field.REFERENCE, template.reference),
        "specimen": {
            **template.specimen.model_dump(exclude_none=True),
            **_renamed(sample, {Field.ACCESSION: "accession", Field.SPECIMEN_TYPE: "type"}),
        },
        "qc": template.qc,
        "options": template.options.model_dump(),
        "late_files": template.late_files,
        "single_end": template.single_end or sample.is_single_end,
    }
    if values["reference"] is None:
        raise _missing("reference bundle", Field.REFERENCE, "reference")
    if Field.REQUISITION in given:
        system = given.get(Field.REQUISITION_SYSTEM, template.requisition_system)
        if system is None:
            raise _missing("system of the requisition", Field.REQUISITION_SYSTEM, "requisition_system")
        values["requisition"] = {"system": system, "value": given[Field.REQUISITION]}
    if sample.pairs is not None:
        values["files"] = [name for pair in sample.pairs for name in pair.names]
        if template.single_end and not sample.is_single_end:
            raise PermanentError(
                "`fastq_2` is filled, but order.json says `single_end`. Leave `single_end` out of order.json: an empty "
                "`fastq_2` says of its row that its reads are single-end."
            )
    if Field.SEX in given:
        values["sex"] = given[Field.SEX]
    try:
        return Order.model_validate(values)
    except ValidationError as error:
        raise PermanentError(f"{faults_of(error)}.") from error


def _patient(sample: SheetSample, template: OrderTemplate) -> dict[str, Any]:
    value = sample.fields.get(Field.PATIENT) or template.patients.get(sample.sample)
    if not value:
        raise PermanentError(
            "no patient is given. Fill the column `patient`, or name the patient of this sample in `patients` of "
            "order.json."
        )
    if re.fullmatch(r"Patient/[A-Za-z0-9.-]{1,64}", value):
        return {"reference": value}
    system = sample.fields.get(Field.PATIENT_SYSTEM, template.patient_system)
    if system is None:
        raise _missing("system of the patient's identifier", Field.PATIENT_SYSTEM, "patient_system")
    return {"identifier": {"system": system, "value": value}}


def _test(sample: SheetSample, template: OrderTemplate) -> dict[str, Any]:
    code = sample.fields.get(Field.TEST)
    if code is None:
        if template.test is None:
            raise _missing("test", Field.TEST, "test")
        return template.test.model_dump()
    if template.test is not None and template.test.code == code:
        return {
            **template.test.model_dump(),
            **_renamed(sample, {Field.TEST_DISPLAY: "display", Field.TEST_SYSTEM: "system"}),
        }
    display = sample.fields.get(Field.TEST_DISPLAY)
    if display is None:
        raise PermanentError("a test is given without its name. Fill the column `test_display` too.")
    return {"code": code, "display": display, **_renamed(sample, {Field.TEST_SYSTEM: "system"})}


def _renamed(sample: SheetSample, names: dict[Field, str]) -> dict[str, str]:
    return {name: sample.fields[field] for field, name in names.items() if field in sample.fields}


def _missing(what: str, column: Field, field: str) -> PermanentError:
    return PermanentError(f"no {what} is given. Fill the column `{column}`, or give `{field}` in order.json.")
