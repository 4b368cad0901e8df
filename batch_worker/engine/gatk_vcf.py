"""GATK's VCF and GVCF lines cut to a shard, filtered, and their headers without runs and paths. Pure over text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from batch_worker.engine.borders import Owner
from batch_worker.engine.vcf_text import VariantCounts, info_value
from shared.domain.genome import Interval

NON_REF = "<NON_REF>"
_SPANNING_DELETION = "*"
_OF_A_RUN = ("##GATKCommandLine", "##source=", "##reference=", "##bcftools_", "##FILTER=")


@dataclass(frozen=True, slots=True)
class HardFilters:
    """When a variant is not PASS: the limits that GATK's documentation gives for hard filtering, and a depth.

    An annotation that a record lacks fails no filter: a homozygous variant, say, has no reference reads to compare.

    Attributes:
        min_qual: `LowQual` when QUAL (Phred) is below.
        min_depth: `LowDepth` when FORMAT/DP (reads) is below.
        min_quality_by_depth: `LowQD` when INFO/QD is below.
        max_snv_fisher_strand: `HighFS` when INFO/FS (Phred) of an SNV is above.
        max_indel_fisher_strand: The same for an indel.
        max_snv_strand_odds: `HighSOR` when INFO/SOR of an SNV is above.
        min_snv_mapping_quality: `LowMapQ` when INFO/MQ (Phred, root of the mean square) of an SNV is below.
        min_snv_mapping_quality_rank: `LowMQRankSum` when INFO/MQRankSum (z) of an SNV is below.
        min_snv_position_rank: `LowReadPosRankSum` when INFO/ReadPosRankSum (z) of an SNV is below.
        min_indel_position_rank: The same for an indel.
    """

    min_qual: float = 30.0
    min_depth: int = 3
    min_quality_by_depth: float = 2.0
    max_snv_fisher_strand: float = 60.0
    max_indel_fisher_strand: float = 200.0
    max_snv_strand_odds: float = 3.0
    min_snv_mapping_quality: float = 40.0
    min_snv_mapping_quality_rank: float = -12.5
    min_snv_position_rank: float = -8.0
    min_indel_position_rank: float = -20.0

    def header_lines(self) -> list[str]:
        """The ##FILTER lines."""
        position = f"{self.min_snv_position_rank:g} (SNV) or < {self.min_indel_position_rank:g} (indel)"
        strand = f"{self.max_snv_fisher_strand:g} (SNV) or > {self.max_indel_fisher_strand:g} (indel)"
        rules = (
            ("LowQual", f"QUAL < {self.min_qual:g}"),
            ("LowDepth", f"FORMAT/DP < {self.min_depth}"),
            ("LowQD", f"INFO/QD < {self.min_quality_by_depth:g}"),
            ("HighFS", f"INFO/FS > {strand}"),
            ("HighSOR", f"INFO/SOR > {self.max_snv_strand_odds:g} (SNV)"),
            ("LowMapQ", f"INFO/MQ < {self.min_snv_mapping_quality:g} (SNV)"),
            ("LowMQRankSum", f"INFO/MQRankSum < {self.min_snv_mapping_quality_rank:g} (SNV)"),
            ("LowReadPosRankSum", f"INFO/ReadPosRankSum < {position}"),
        )
        return [f'##FILTER=<ID={name},Description="{rule}">' for name, rule in rules]

    def verdict(self, columns: Sequence[str]) -> str:
        """The FILTER column of a record with one ALT allele: PASS, or the names of all limits that were missed.

        FORMAT/DP is judged when the record has one sample; a cohort's depths are its readers' to judge.
        """
        info = columns[7]
        is_snv = len(columns[3]) == len(columns[4]) == 1
        missed = []
        if columns[5] == "." or float(columns[5]) < self.min_qual:
            missed.append("LowQual")
        if len(columns) == 10:
            depth = dict(zip(columns[8].split(":"), columns[9].split(":"), strict=False)).get("DP", ".")
            if depth == "." or int(depth) < self.min_depth:
                missed.append("LowDepth")
        rules: list[tuple[str, str, float, int]] = [("LowQD", "QD", self.min_quality_by_depth, -1)]
        if is_snv:
            rules += [
                ("HighFS", "FS", self.max_snv_fisher_strand, 1),
                ("HighSOR", "SOR", self.max_snv_strand_odds, 1),
                ("LowMapQ", "MQ", self.min_snv_mapping_quality, -1),
                ("LowMQRankSum", "MQRankSum", self.min_snv_mapping_quality_rank, -1),
                ("LowReadPosRankSum", "ReadPosRankSum", self.min_snv_position_rank, -1),
            ]
        else:
            rules += [
                ("HighFS", "FS", self.max_indel_fisher_strand, 1),
                ("LowReadPosRankSum", "ReadPosRankSum", self.min_indel_position_rank, -1),
            ]
        for name, key, limit, side in rules:
            value = info_value(info, key)
            if value not in {"", "."} and side * float(value) > side * limit:
                missed.append(name)
        return ";".join(missed) or "PASS"


def finish(lines: Iterable[str], limits: HardFilters, counts: VariantCounts) -> Iterator[str]:
    """Set FILTER and count; the placeholder of a deletion that began further up is no variant and is left out."""
    for line in lines:
        columns = line.split("\t")
        if columns[4] == _SPANNING_DELETION:
            continue
        columns[6] = limits.verdict(columns)
        counts.add(columns[3], columns[4], columns[6], columns[9].partition(":")[0])
        yield "\t".join(columns)


def header(lines: Sequence[str], own: Iterable[str]) -> list[str]:
    """A header without what names paths, runs or other filters, with our own lines before the column line."""
    return [*(line for line in lines[:-1] if not line.startswith(_OF_A_RUN)), *own, lines[-1]]


def owned_variants(lines: Iterable[str], owner: Owner) -> Iterator[str]:
    """The records whose POS the shard owns."""
    for line in lines:
        contig, pos, _ = line.split("\t", 2)
        start = int(pos) - 1
        if any(owner.pieces(contig, start, start + 1)):
            yield line


def cut_gvcf(lines: Iterable[str], owner: Owner, letter: Callable[[Interval], str]) -> Iterator[str]:
    """The GVCF records that the shard owns; a reference block that crosses a border becomes its pieces.

    A piece keeps the block's GQ, MIN_DP and PL, which are the lowest of the whole block: true of every piece, and
    what GATK itself leaves when it cuts a block.

    Args:
        lines: Without line ends.
        owner: What the shard owns.
        letter: The reference base at an interval's start.
    """
    for line in lines:
        contig, pos, _, _, alt, _, _, info, _ = line.split("\t", 8)
        start = int(pos) - 1
        end = int(info_value(info, "END") or pos) if alt == NON_REF else start + 1
        for piece in owner.pieces(contig, start, end):
            if piece.length == end - start:
                yield line
            else:
                yield _piece(line, piece, letter(piece))


def _piece(line: str, piece: Interval, letter: str) -> str:
    """A reference block's line for a piece of it."""
    columns = line.split("\t")
    columns[1], columns[3] = str(piece.start + 1), letter
    columns[7] = ";".join(f"END={piece.end}" if x.startswith("END=") else x for x in columns[7].split(";"))
    return "\t".join(columns)
