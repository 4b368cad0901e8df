"""Sample sheets of every form: one entry per sample, and every row that cannot be used by its line and reason."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.sheet import Field, Sheet, SheetPair
from shared.errors import PermanentError
from shared.formats.sample_sheet import read_sheet

NAME = "run1/samplesheet.csv"
HEADER = "patient,sex,status,sample,lane,fastq_1,fastq_2"
"""As nf-core/sarek's."""

V1 = """\
[Header],,,,,
IEMFileVersion,4,,,,
Date,10/28/2026,,,,
,,,,,
[Reads],,,,,
151,,,,,
151,,,,,
[Settings],,,,,
Adapter,AGATCGGAAGAGC,,,,
[Data],,,,,
Lane,Sample_ID,Sample_Name,index,index2,Sample_Project
1,NA1,Ann-1,ACGT,TTGA,p
2,NA1,Ann-1,ACGT,TTGA,p
1,NA2,,CCGT,ATGA,p
"""

V2 = """\
[Header]
FileFormatVersion,2
RunName,run1
[Reads]
Read1Cycles,151
Read2Cycles,151
[BCLConvert_Settings]
SoftwareVersion,4.2.7
NoLaneSplitting,{split}
[BCLConvert_Data]
Sample_ID,Index,Index2
NA1,ACGT,TTGA
NA2,CCGT,ATGA
[Cloud_Data]
Sample_ID,ProjectName
NA1,p
"""


def read(text: str) -> Sheet:
    return read_sheet(text.encode(), NAME)


def rows(*lines: str) -> Sheet:
    return read("\n".join([HEADER, *lines]))


def fault(*lines: str) -> str:
    (one,) = rows(*lines).faults
    return f"{one.place}: {one.reason}"


def test_a_simple_sheet_gives_its_samples_with_their_lanes_and_lines() -> None:
    sheet = rows(
        "P1,XX,0,NA1,L001,NA1_S1_L001_R1_001.fastq.gz,NA1_S1_L001_R2_001.fastq.gz",
        "",
        "P2,M,0,NA2,1,a/b_1.fq.gz,./a/b_2.fq.gz",
        "P1,XX,0,NA1,L002,NA1_S1_L002_R1_001.fastq.gz,NA1_S1_L002_R2_001.fastq.gz",
    )
    assert (sheet.faults, sheet.notes) == ((), ())
    first, second = sheet.samples
    assert (first.sample, first.lines) == ("NA1", (2, 5))
    assert first.fields == {Field.PATIENT: "P1", Field.SEX: "female"}
    assert first.pairs is not None
    assert [pair.lane for pair in first.pairs] == ["L001", "L002"]
    assert second.fields == {Field.PATIENT: "P2", Field.SEX: "male"}
    assert second.pairs == (SheetPair("a/b_1.fq.gz", "a/b_2.fq.gz", "1"),)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffpatient,sample,fastq_1,fastq_2\r\nP1,NA1,a_1.fq,a_2.fq\r\n",  # a spreadsheet's
        "patient;sample;fastq_1;fastq_2\nP1;NA1;a_1.fq;a_2.fq",  # a German one's
        "Patient\tSample\tFastq_1\tfastq_2\nP1\tNA1\ta_1.fq\ta_2.fq",
        'patient,sample,fastq_1,fastq_2,,\n"P1", NA1 ,a_1.fq,a_2.fq,,\n,,,,,\n',
        "RGID,RGSM,RGLB,Lane,Read1File,Read2File,patient\nx.1,NA1,lib,1,a_1.fq,a_2.fq,P1",  # DRAGEN's fastq_list
    ],
)
def test_a_sheet_is_read_as_spreadsheets_and_other_software_write_it(text: str) -> None:
    (sample,) = read(text).samples
    assert (sample.sample, sample.fields) == ("NA1", {Field.PATIENT: "P1"})
    assert sample.pairs is not None
    assert [(pair.r1, pair.r2) for pair in sample.pairs] == [("a_1.fq", "a_2.fq")]


@pytest.mark.parametrize(
    ("word", "sex"),
    [("XX", "female"), ("F", "female"), ("female", "female"), ("xy", "male"), ("M", "male"), ("NA", None), ("", None)],
)
def test_sex_is_read_in_the_words_in_use(word: str, sex: str | None) -> None:
    (sample,) = rows(f"P1,{word},0,NA1,,a_1.fq,a_2.fq").samples
    assert sample.fields.get(Field.SEX) == sex


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("P1,,0,,L1,a_1.fq,a_2.fq", "the column `sample` is empty"),
        ("P1,,0,../x,L1,a_1.fq,a_2.fq", "the name in the column `sample` is not one for a sample"),
        ("P1,XXY,0,NA1,L1,a_1.fq,a_2.fq", "`sex` is none of XX, XY, F, M"),
        ("P1,XX,1,NA1,L1,a_1.fq,a_2.fq", "it is a tumor sample"),
        ("P1,XX,0,NA1,L1,a_2.fq,", "`fastq_1` names a file that its name calls R2, and `fastq_2` is empty"),
        ("P1,XX,0,NA1,L1,,a_2.fq", "`fastq_1` is no name inside the drop's folder"),
        ("P1,XX,0,NA1,L1,/data/a_1.fq,a_2.fq", "`fastq_1` is no name inside the drop's folder"),
        ("P1,XX,0,NA1,L1,a_1.fq,../a_2.fq", "`fastq_2` is no name inside the drop's folder"),
        ("P1,XX,0,NA1,L1,s3://b/a_1.fq,a_2.fq", "`fastq_1` is no name inside the drop's folder"),
        ("P1,XX,0,NA1,L1,a_1.bam,a_2.fq", "`fastq_1` does not end like a FASTQ file"),
        ("P1,XX,0,NA1,L1,a_R2.fq,a_R1.fq", "names a file that its name calls R2: the columns are swapped"),
        ("P1,XX,0,NA1,L1,a_1.fq,a_1.fq", "`fastq_2` names a file that its name calls R1"),
        ("P1,XX,0,NA1,L1,a_I1_001.fastq.gz,a_I2_001.fastq.gz", "`fastq_1` names index reads"),
        ("P1,XX,0,NA1,L1,a.fq,a.fq", "it names a FASTQ file twice"),
        ("P1,XX,0,NA1,L1,a_1.fq,a_2.fq,more", "it has 8 values for 7 columns"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_by_line_and_the_others_go_on(line: str, reason: str) -> None:
    sheet = rows("P9,XY,0,GOOD,L1,g_1.fq,g_2.fq", line)
    assert [sample.sample for sample in sheet.samples] == ["GOOD"]
    (one,) = sheet.faults
    assert one.lines == (3,)
    assert reason in one.reason
    assert "P1" not in one.reason  # no patient in a message


def test_rows_of_one_sample_that_differ_are_refused_together() -> None:
    text = fault("P1,XX,0,NA1,1,a_1.fq,a_2.fq", "P2,XX,0,NA1,2,b_1.fq,b_2.fq")
    assert text.startswith("lines 2, 3: its rows differ in `patient`.")


def test_a_file_of_two_samples_is_nobodys() -> None:
    sheet = rows("P1,XX,0,NA1,1,a_1.fq,a_2.fq", "P2,XX,0,NA2,1,a_1.fq,b_2.fq", "P3,XX,0,NA3,1,c_1.fq,c_2.fq")
    assert [sample.sample for sample in sheet.samples] == ["NA3"]
    assert [fault.sample for fault in sheet.faults] == ["NA1", "NA2"]
    assert "names a FASTQ file that NA2 names too" in sheet.faults[0].reason


def test_columns_that_are_not_read_are_told() -> None:
    assert read("sample,fastq_1,fastq_2,batch\nNA1,a_1.fq,a_2.fq,7").notes == (
        "Columns of the sample sheet that are not read: batch.",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n , \n", "is empty"),
        (b"sample,fastq_1\nNA1,a_1.fq", "has no column `fastq_2` in line 1"),
        (b"\nname,fastq_1,fastq_2\n", "has no column `sample` in line 2"),
        (b"sample,sample,fastq_1,fastq_2\n", "has the column `sample` twice"),
        (b"sample,RGSM,fastq_1,fastq_2\n", "has the column `sample` twice"),
        (b"sample,fastq_1,fastq_2\nNA\xe4", "is not UTF-8 text"),
        (b'sample,fastq_1,fastq_2\n"NA1', "is no CSV at line 2"),
        (b"[Header]\nFileFormatVersion,2\n", "has no section [BCLConvert_Data] or [Data]"),
        (b"[Data]\nLane,index\n1,ACGT\n", "has no column Sample_ID in line 2"),
    ],
)
def test_a_sheet_of_which_nothing_can_be_used_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read_sheet(data, NAME)
    assert f"landing/{NAME} {message}" in str(caught.value)


def test_illuminas_first_sheets_tell_samples_numbers_and_lanes() -> None:
    sheet = read(V1)
    assert sheet.faults == ()
    first, second = sheet.samples
    assert (first.sample, first.number, first.lanes, first.lines) == ("NA1", 1, (1, 2), (12, 13))
    assert (first.pairs, first.file_stems, first.is_lane_split) == (None, ("NA1", "Ann-1"), True)
    assert (second.sample, second.number, second.lanes, second.file_stems) == ("NA2", 2, (1,), ("NA2",))


@pytest.mark.parametrize(("word", "is_split"), [("true", False), ("1", False), ("false", True), ("", True)])
def test_illuminas_second_sheets_are_read_in_the_section_of_bcl_convert(word: str, is_split: bool) -> None:
    sheet = read(V2.format(split=word))
    assert [(one.sample, one.number, one.lanes, one.is_lane_split) for one in sheet.samples] == [
        ("NA1", 1, (), is_split),
        ("NA2", 2, (), is_split),
    ]


def test_a_faulty_row_of_illuminas_sheet_keeps_its_number() -> None:
    sheet = read("[Data]\nSample_ID,Lane\nbad name,1\nNA2,x\nNA3,2\n")
    assert [(one.sample, one.number) for one in sheet.samples] == [("NA3", 3)]
    assert [fault.lines for fault in sheet.faults] == [(3,), (4,)]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12) | st.sampled_from(
    ["NA1", "NA2", "a_1.fq.gz", "a_2.fq.gz", "P1", "XX", "[Data]", "Sample_ID", "sample", "fastq_1", "fastq_2", "1"]
)


@given(table=st.lists(st.lists(cells, max_size=8), max_size=8), with_header=st.booleans())
def test_any_table_is_read_or_refused_and_no_row_is_in_two_samples(table: list[list[str]], with_header: bool) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([HEADER.split(","), *table] if with_header else table)
    try:
        sheet = read(stream.getvalue())
    except PermanentError as error:
        assert NAME in str(error)  # noqa: PT017 - either outcome is right
        return
    lines = [line for one in (*sheet.samples, *sheet.faults) for line in one.lines]
    assert len(set(lines)) == len(lines)
    names = [sample.sample for sample in sheet.samples]
    assert len(set(names)) == len(names)


@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data: bytes) -> None:
    try:
        read_sheet(data, NAME)
    except PermanentError as error:
        assert NAME in str(error)  # noqa: PT017 - either outcome is right


sample_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)


@given(lanes=st.dictionaries(sample_names, st.integers(1, 3), min_size=1, max_size=4), data=st.data())
def test_the_order_of_the_rows_changes_no_sample(lanes: dict[str, int], data: st.DataObject) -> None:
    lines = [
        f"P{sample},NA,0,{sample},{lane},{sample}/{lane}_1.fq,{sample}/{lane}_2.fq"
        for sample, count in lanes.items()
        for lane in range(count)
    ]
    sheet = rows(*data.draw(st.permutations(lines)))
    assert sheet.faults == ()
    assert {one.sample: len(one.pairs or ()) for one in sheet.samples} == lanes
    assert {one.fields[Field.PATIENT] for one in sheet.samples} == {f"P{sample}" for sample in lanes}


def test_an_empty_fastq_2_says_that_the_rows_reads_are_single_end() -> None:
    sheet = rows(
        "P1,XX,0,NA1,L1,a.fq,", "P1,XX,0,NA1,L2,b_1.fq,", "P2,XX,0,NA2,L1,c_1.fq,c_2.fq", "P2,XX,0,NA2,L2,d.fq,"
    )
    assert sheet.faults == ()
    single, mixed = sheet.samples
    assert single.pairs == (SheetPair("a.fq", None, "L1"), SheetPair("b_1.fq", None, "L2"))
    assert mixed.pairs == (SheetPair("c_1.fq", "c_2.fq", "L1"), SheetPair("d.fq", None, "L2"))
    assert (single.is_single_end, mixed.is_single_end) == (True, False)


@pytest.mark.parametrize(
    ("text", "is_single_end"),
    [
        (V1, False),
        (V1.replace("151,,,,,\n151,,,,,\n", "151,,,,,\n"), True),
        (V1.replace("[Reads],,,,,\n151,,,,,\n151,,,,,\n", ""), False),
        (V2, False),
        (V2.replace("Read2Cycles,151\n", "Index1Cycles,8\n"), True),
        (V2.replace("Read2Cycles,151\n", "Read2Cycles,0\n"), True),
    ],
)
def test_an_illumina_sheet_with_one_read_says_that_the_reads_are_single_end(text: str, is_single_end: bool) -> None:
    samples = read(text.replace("{split}", "0")).samples
    assert {sample.is_single_end for sample in samples} == {is_single_end}
