"""The counts at common sites as a table: what a shard leaves, and what the gather joins."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from shared.domain.sites import CommonSite, SiteCounts
from shared.errors import PermanentError

COLUMNS = ("contig", "pos", "ref", "alt", "frequency", "refs", "alts", "others")


def write_site_table(counts: Iterable[SiteCounts], path: Path) -> None:
    """Write the counts as tab-separated text, a line of column names first; positions are 1-based."""
    with path.open("w", encoding="ascii") as out:
        out.write("\t".join(COLUMNS) + "\n")
        for one in counts:
            site = one.site
            out.write(
                f"{site.contig}\t{site.pos}\t{site.ref}\t{site.alt}\t{site.frequency:g}\t{one.ref}\t{one.alt}\t{one.other}\n"
            )


def read_site_table(path: Path) -> Iterator[SiteCounts]:
    """Read what `write_site_table` wrote.

    Raises:
        PermanentError: With the line number, when it is something else.
    """
    with path.open(encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            columns = line.rstrip("\n").split("\t")
            if number == 1 and columns == list(COLUMNS):
                continue
            try:
                contig, pos, ref, alt, frequency, *counted = columns
                refs, alts, others = map(int, counted)
                yield SiteCounts(CommonSite(contig, int(pos), ref, alt, float(frequency)), refs, alts, others)
            except ValueError as error:
                raise PermanentError(
                    f"{path.name}, line {number:,}: this is no table of common sites. Call the shard again."
                ) from error
