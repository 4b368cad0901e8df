"""What the lab asks for: `landing/{sample}/order.json`."""

import json
from datetime import datetime
from enum import StrEnum, unique
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, StringConstraints, ValidationError, model_validator

from shared.domain.fastq_names import is_fastq, is_inside
from shared.domain.ids import Document
from shared.domain.karyotype import Sex
from shared.domain.reads import SampleName
from shared.domain.test_definition import BedName
from shared.domain.thresholds import Limits
from shared.errors import PermanentError

FhirId = Annotated[str, StringConstraints(pattern=r"^(Patient/)[A-Za-z0-9.-]{1,64}$")]
BundleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]

FingerprintName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.vcf(\.gz)?$")]


OrderDocument = TypeVar("OrderDocument", bound=Document)


@unique
class Caller(StrEnum):
    """Variant callers that an order may choose."""

    BCFTOOLS = "bcftools"
    GATK = "gatk"


@unique
class AlignmentFormat(StrEnum):
    """File formats of the alignments among the results."""

    BAM = "bam"
    CRAM = "cram"


@unique
class LateFiles(StrEnum):
    """What happens when the files of an order change after its analysis has begun."""

    NEW_ANALYSIS = "new-analysis"
    REFUSE = "refuse"


class Identifier(Document):
    """A business identifier: the system that issues it and its value."""

    system: Annotated[str, Field(min_length=1, description="URI of the issuing system")]
    value: Annotated[str, Field(min_length=1)]


class Patient(Document):
    """Who the sample is from: a resource the EHR owns, or an identifier such as the MRN."""

    reference: Annotated[FhirId | None, Field(description="Literal FHIR reference such as Patient/123")] = None
    identifier: Annotated[Identifier | None, Field(description="Identifier such as the MRN")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.reference is None) == (self.identifier is None):
            raise ValueError("give either `reference` (Patient/ID) or `identifier` (system and value)")
        return self


class Test(Document):
    """The ordered test."""

    __test__ = False  # the word means something else to pytest

    code: Annotated[str, Field(min_length=1, description="The lab's code of the test")]
    system: Annotated[str | None, Field(description="Code system URI; the lab's own when left out")] = None
    display: Annotated[str, Field(min_length=1, description="Name of the test as the report shows it")]


class Specimen(Document):
    """The material that was sequenced."""

    accession: Annotated[str | None, Field(description="Accession number; the sample name when left out")] = None
    type: Annotated[str, Field(description="HL7 table 0487 code")] = "BLD"
    collected: datetime | None = None
    received: datetime | None = None


class Options(Document):
    """Settings of the analysis that change its results."""

    caller: Caller = Caller.BCFTOOLS
    alignments: Annotated[
        AlignmentFormat, Field(description="CRAM is about half the size and needs the reference to be read")
    ] = AlignmentFormat.BAM
    targets: Annotated[
        BedName | None,
        Field(
            description="BED file in the sample's folder; calls and quality figures are limited to it. When left "
            "out: the targets of the test's definition, if it has any"
        ),
    ] = None
    padding_bp: Annotated[int | None, Field(ge=0, le=10_000, description="Added to both sides of each target, bp")] = (
        None
    )
    recalibrate: Annotated[
        bool,
        Field(
            description="Recalibrate base qualities before calling, by the reference bundle's known sites. For the "
            "caller `gatk` only; the other caller does not look at it."
        ),
    ] = True

    @property
    def recalibrates(self) -> bool:
        """Whether base qualities are recalibrated in this analysis."""
        return self.caller is Caller.GATK and self.recalibrate


class Order(Document):
    """An order for one sample.

    Unknown fields are refused, so that a misspelt one is not silently ignored.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    sample: Annotated[SampleName, Field(description="Sample name; equals the folder's name in landing")]
    patient: Patient
    test: Test
    reference: Annotated[BundleName, Field(description="Name of an installed reference bundle")]
    sex: Annotated[
        Sex | None,
        Field(
            description="Sex by karyotype, XX or XY; it sets the ploidy of X and Y, and the reads are checked against "
            "it. When left out it is inferred from the reads"
        ),
    ] = None
    files: Annotated[
        tuple[str, ...] | None,
        Field(
            description="Names of the FASTQ files in the folder, those in a folder below it as `run1/NAME`. When left "
            "out: every FASTQ that lies directly in the folder when the order arrives."
        ),
    ] = None
    single_end: Annotated[
        bool,
        Field(
            description="The reads have no mates: every FASTQ file is a read group by itself. When left out or false, "
            "each file of first reads waits for its mate"
        ),
    ] = False
    requisition: Annotated[
        Identifier | None, Field(description="The orderer's number; it links the report to the EHR's order")
    ] = None
    specimen: Specimen = Specimen()
    qc: Annotated[
        Limits,
        Field(
            default_factory=dict,
            description="Limits on quality figures; they go before those of the test's definition",
        ),
    ]
    fingerprint: Annotated[
        FingerprintName | None,
        Field(
            description="VCF in the sample's folder with genotypes known of this person, such as an array's; the "
            "reads are checked against them. When left out: the newest delivered analysis of the same sample name"
        ),
    ] = None
    options: Options = Options()
    late_files: Annotated[
        LateFiles,
        Field(
            description="When a file is replaced, or the order is uploaded again for more files, after the analysis "
            "has begun: a new analysis that follows the old one, or a refusal"
        ),
    ] = LateFiles.NEW_ANALYSIS

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.files is not None:
            if not self.files:
                raise ValueError(
                    "`files` is empty: name at least one R1/R2 pair (or file of single-end reads), or leave `files` out"
                )
            for name in self.files:
                if not is_inside(name) or not is_fastq(name):
                    raise ValueError(
                        f"`files` names '{name}': name FASTQ files of this folder, or of a folder below it, such as "
                        f"{self.sample}_S1_L001_R1_001.fastq.gz"
                    )
            if len(set(self.files)) != len(self.files):
                raise ValueError("`files` names a file twice")
        return self


def parse_order(data: bytes, blob_name: str) -> Order:
    """Read the order of a sample's folder.

    Raises:
        PermanentError: Naming the blob, each field that is wrong, why, and where the schema is.
    """
    folder = blob_name.rpartition("/")[0]
    order = validated(Order, read_json(data, blob_name), blob_name)
    if order.sample != folder:
        raise PermanentError(
            f"landing/{blob_name} is an order for sample {order.sample} but lies in the folder {folder}. "
            "Put it into the folder of its sample, or correct `sample`."
        )
    return order


def read_json(data: bytes, blob_name: str) -> Any:
    """The JSON value of a blob that is to be an order.

    Raises:
        PermanentError: Naming the blob and the place of the fault.
    """
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise PermanentError(f"landing/{blob_name} is not UTF-8 text: {error.reason}. Save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise PermanentError(
            f"landing/{blob_name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}. "
            "Correct it and upload it again; docs/order.schema.json describes it."
        ) from error
    except (RecursionError, ValueError) as error:  # ValueError: a number with thousands of digits
        why = "it is nested too deeply" if isinstance(error, RecursionError) else "it holds a number of too many digits"
        raise PermanentError(
            f"landing/{blob_name} is not JSON: {why}. Is it an order? docs/order.schema.json describes it."
        ) from error


def validated(model: type[OrderDocument], value: Any, blob_name: str) -> OrderDocument:
    """A JSON value as an order, or as a template of orders.

    Raises:
        PermanentError: Naming the blob, each field that is wrong, why, and where the schema is.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise PermanentError(
            f"landing/{blob_name} is not a valid order: {faults_of(error)}. "
            "Correct it and upload it again; docs/order.schema.json describes it."
        ) from error


def faults_of(error: ValidationError) -> str:
    """Each wrong field and why; values are not repeated: an order holds patient references, and this is logged."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'order'}: {e['msg']}" for e in error.errors())
