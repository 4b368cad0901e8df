"""The GATK engine on real-sized data: wall and CPU seconds, score, and the same bytes when it is run again.

usage: bench_gatk.py DATA KNOWN_SITES.vcf.gz GATK_HOME [--score SCORE.py] [--shards 2000000 500000] [--work DIR]

DATA as for bench_engine.py. GATK_HOME is what `./run gatk` prints. One process; indexing and splitting are outside of
the clock.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_engine import HALO_BP, align, clock, interleave

from batch_worker.engine.align import AlignSummary
from batch_worker.engine.call import CallSummary
from batch_worker.engine.gatk import GatkOptions, call_shard_gatk, recalibrate_shard
from batch_worker.engine.gatk_tools import Gatk, find_gatk
from batch_worker.engine.header import read_dict
from batch_worker.engine.index import build_index
from shared.domain.genome import Shard, cut_shards
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs


@dataclass(frozen=True)
class Run:
    gatk: Gatk
    reference: Path
    known_sites: Path
    work: Path
    shards: tuple[Shard, ...]
    aligned: list[AlignSummary]

    def parts(self, shard: Shard) -> list[Path]:
        return [summary.parts[shard.number].path for summary in self.aligned]

    def tables(self, work: Path) -> list[Path]:
        return [
            recalibrate_shard(
                self.parts(shard), shard=shard, reference=self.reference, known_sites=[self.known_sites],
                halo_bp=HALO_BP, gatk=self.gatk, out_dir=work / f"recalibrated-{shard.number}", log=work / "log",
            ).table
            for shard in self.shards
        ]  # fmt: skip

    def called(self, work: Path, tables: list[Path]) -> list[CallSummary]:
        return [
            call_shard_gatk(
                self.parts(shard), shard=shard, tables=tables, reference=self.reference, halo_bp=HALO_BP,
                options=GatkOptions(), gatk=self.gatk, out_dir=work / f"called-{shard.number}", log=work / "log",
            )
            for shard in self.shards
        ]  # fmt: skip

    def all(self, name: str, rows: list[tuple[str, float, float]]) -> dict[str, Path]:
        work = self.work / name
        work.mkdir(parents=True)
        with clock(f"{name}: recalibrate", rows):
            tables = self.tables(work)
        with clock(f"{name}: call", rows):
            called = self.called(work, tables)
        with clock(f"{name}: gather", rows):
            return {
                "bam": gather_bams([s.bam for s in called], work / "sample.bam").path,
                "vcf": gather_vcfs([s.vcf for s in called], work / "sample.vcf.gz").path,
                "gvcf": gather_gvcfs([s.gvcf for s in called], work / "sample.g.vcf.gz").path,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("known_sites", type=Path)
    parser.add_argument("gatk_home", type=Path)
    parser.add_argument("--score", type=Path)
    parser.add_argument("--shards", type=int, nargs="+", default=[2_000_000, 500_000])
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        reference = build_index(options.data / "reference.fa.gz", work / "reference")[0]
        lanes = [(r1, Path(str(r1).replace("_R1_", "_R2_"))) for r1 in sorted(options.data.glob("*_R1_001.fastq.gz"))]
        chunks = [interleave(*lane, work / f"L{number}.fastq.gz") for number, lane in enumerate(lanes, start=1)]
        rows: list[tuple[str, float, float]] = []
        results = []
        for number, shard_bp in enumerate(options.shards):
            shards = cut_shards(read_dict(reference.with_name(f"{reference.name}.dict")), shard_bp)
            with clock(f"{len(shards)} shards: align", rows):
                aligned = [align(shards, reference, work / f"aligned-{shard_bp}", chunk) for chunk in chunks]
            gatk = find_gatk(options.gatk_home)
            run = Run(gatk, reference, options.known_sites, work / f"gatk-{shard_bp}", shards, aligned)
            first = run.all(f"{len(shards)}-shards", rows)
            results.append((f"{len(shards)} shards", first["vcf"]))
            if number == 0:
                again = run.all(f"{len(shards)}-shards-again", rows)
                for kind, path in first.items():
                    print(f"{kind} of two runs: {'the same bytes' if same(path, again[kind]) else 'DIFFERENT'}")
        print(f"{'':26}{'wall s':>8}{'CPU s':>8}")
        for name, wall, cpu in rows:
            print(f"{name:26}{wall:8.1f}{cpu:8.1f}")
        if options.score:
            for name, calls in results:
                argv = [sys.executable, options.score, options.data / "truth.vcf.gz", calls, reference]
                text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
                print("".join(f"{name:12} {line}\n" for line in text.splitlines()), end="")


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    main()
