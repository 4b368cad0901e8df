"""A run's folder: from its sample sheet and its orders' template to one request per sample."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.fastq_names import parse_fastq_name
from shared.domain.ids import digest
from shared.domain.intake import Request
from shared.domain.order_template import OrderTemplate, order_of
from shared.domain.reads import Pair, label_of
from shared.domain.sheet import Sheet, SheetFault, SheetSample
from shared.errors import PermanentError


@dataclass(frozen=True, slots=True)
class RunDrop:
    """What a run's folder holds.

    Attributes:
        folder: The landing folder.
        sheet: Blob name of the sample sheet.
        arrived: When the sheet or the template came in, whichever was later.
        upload: What tells this upload of the two from others.
        names: Full names of all FASTQ files in the folder and below it.
    """

    folder: str
    sheet: str
    arrived: datetime
    upload: str
    names: Collection[str]


def requests_of(
    drop: RunDrop, sheet: Sheet, template: OrderTemplate
) -> tuple[tuple[Request, ...], tuple[SheetFault, ...]]:
    """One request per sample of a sheet, and the samples that are refused."""
    owners = _owners(sheet, template, drop.names)
    requests = []
    faults = list(sheet.faults)
    for sample in sheet.samples:
        try:
            requests.append(_request(drop, sample, template, owners))
        except PermanentError as error:
            faults.append(SheetFault(sample.lines, sample.sample, str(error)))
    return tuple(requests), tuple(sorted(faults, key=lambda fault: fault.lines))


def fault_text(sheet: str, fault: SheetFault) -> str:
    """A refusal in words: which sheet, which lines, why."""
    return f"landing/{sheet}, {fault.place}: {fault.reason} Then upload the sheet again; the other samples go on."


def _request(
    drop: RunDrop, sample: SheetSample, template: OrderTemplate, owners: Mapping[str, Collection[str]]
) -> Request:
    order = order_of(sample, template)
    candidates = tuple(name for name, samples in sorted(owners.items()) if sample.sample in samples)
    for name in candidates:
        if len(owners[name]) > 1:
            raise PermanentError(
                f"landing/{name} may be of {' or '.join(sorted(owners[name]))}, by its name. Rename one of the "
                "samples, or name the files in a samplesheet.csv with the columns fastq_1 and fastq_2."
            )
    return Request(
        folder=drop.folder,
        order=order,
        arrived=drop.arrived,
        source=drop.sheet,
        upload=digest([order.model_dump(mode="json"), drop.upload])[:24],
        candidates=candidates,
        pairs=_pairs(drop.folder, sample),
        expected=_expected(drop.folder, sample, single_end=order.single_end),
        aliases=_aliases(sample),
    )


def _pairs(folder: str, sample: SheetSample) -> tuple[Pair, ...] | None:
    if sample.pairs is None:
        return None
    return tuple(
        Pair(
            label_of(sample.sample, pair.r1, pair.lane),
            f"{folder}/{pair.r1}",
            None if pair.r2 is None else f"{folder}/{pair.r2}",
        )
        for pair in sample.pairs
    )


def _owners(sheet: Sheet, template: OrderTemplate, names: Collection[str]) -> Mapping[str, Collection[str]]:
    """The samples, of those whose files the sheet does not name, that each FASTQ file may be of."""
    by_stem: dict[str, set[str]] = {}
    for sample in sheet.samples:
        for stem in sample.file_stems:
            by_stem.setdefault(stem, set()).add(sample.sample)
    single_end = template.single_end or any(sample.is_one_read for sample in sheet.samples)
    owners = {}
    for name in names:
        parsed = parse_fastq_name(name.rpartition("/")[2], single_end=single_end)
        if parsed is not None:
            owners[name] = {owner for stem in parsed.samples for owner in by_stem.get(stem, ())}
    return owners


def _expected(folder: str, sample: SheetSample, *, single_end: bool) -> dict[int | None, tuple[str, ...]]:
    """The names that Illumina's software gives, by lane: where the sheet tells the lanes, or that they are one file."""
    return {
        lane: tuple(f"{folder}/{name}" for name in mates[: 1 if single_end else 2])
        for lane, mates in _file_names(sample, sample.sample).items()
    }


def _aliases(sample: SheetSample) -> dict[str, tuple[str, ...]]:
    """bcl2fastq names files by the sample's name where the sheet has one, bcl-convert by its id."""
    others = [_file_names(sample, stem) for stem in sample.file_stems if stem != sample.sample]
    return {
        name: tuple(other[lane][mate] for other in others)
        for lane, mates in _file_names(sample, sample.sample).items()
        for mate, name in enumerate(mates)
    }


def _file_names(sample: SheetSample, stem: str) -> dict[int | None, tuple[str, str]]:
    """File names of R1 and R2 by lane (None: lanes are not split); none where the lanes are not known."""
    lanes: tuple[int | None, ...] = sample.lanes if sample.is_lane_split else (None,)
    if sample.pairs is not None:
        lanes = ()
    middles = {lane: f"_S{sample.number}" + (f"_L{lane:03d}" if lane is not None else "") for lane in lanes}
    return {
        lane: (f"{stem}{middle}_R1_001.fastq.gz", f"{stem}{middle}_R2_001.fastq.gz") for lane, middle in middles.items()
    }
