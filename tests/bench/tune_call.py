"""Settings of the caller, tried on simulated reads: F1 of SNVs and indels for each choice, at each depth.

usage: tune_call.py --work DIR [--depths 10,30,60] [--seeds 1,2,3] [--bp 500000] [--reference FASTA]
                    [--try "NAME=PRIOR [mpileup options]" ...] [--filter "NAME=QUAL DEPTH MQ [MORE]" ...] [--json OUT]

Reads are aligned once by the engine and kept in DIR; then the same bcftools runs over all positions with each choice
(the engine piles up only where that could matter, with the same result). MORE is a Python expression over the facts
of a record that must hold to pass, such as ``MQ0F < 0.8``; QUAL, DP (of the sample), `expected` (the mean depth),
`indel` and the INFO tags are names in it. Tune on seeds below 100, report on others with bench_truth.py.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from batch_worker import commands
from batch_worker.engine.index import build_index
from batch_worker.engine.vcf_text import FilterLimits
from batch_worker.process import run, run_pipeline
from infra.local.demo_genome import Bases
from tests.bench.bench_engine import interleave, ours
from tests.bench.bench_truth import load_reference
from tests.bench.truth_compare import Event, Score, read_events, scores
from tests.bench.truth_data import make_donor, make_sample

Keep = Callable[[Event], bool]


def aligned(reference: Mapping[str, Bases], seed: int, depth: float, folder: Path) -> tuple[Path, Path]:
    """The reference and the engine's BAM of a sample; made when they are not there."""
    fasta, bam = folder / "index" / "reference.fa", folder / "engine" / "sample.bam"
    if not bam.exists():
        sample = make_sample(reference, seed, depth, folder)
        index = build_index(sample.fasta, folder / "index")[0]
        (folder / "engine").mkdir(exist_ok=True)
        ours([interleave(sample.r1, sample.r2, folder / "L1.fastq.gz")], index, folder / "engine", 1)
        for path in (sample.r1, sample.r2, folder / "L1.fastq.gz"):
            path.unlink()
    return fasta, bam


def pile_up(bam: Path, fasta: Path, out: Path, prior: float, extra: list[str], contigs: Mapping[str, Bases]) -> Path:
    """Call every position with these settings; the VCF is split and left-aligned."""
    if out.exists():
        return out
    bed = out.with_suffix(".bed")
    bed.write_text("".join(f"{name}\t0\t{len(bases)}\n" for name, bases in contigs.items()))
    called, log = out.with_suffix(".called.vcf"), out.with_suffix(".log")
    pile = commands.mpileup(
        bam, reference=fasta, targets_bed=bed, max_depth=8_000, min_mapq=0, min_base_quality=1, depth_bands=None,
        out_vcf=None,
    )  # fmt: skip
    call = ["bcftools", "call", "-m", "-v", "-P", f"{prior:g}", "-a", "FORMAT/GQ", "--ploidy", "2", "-o", str(called)]
    run_pipeline([[*pile[:2], *extra, *pile[2:]], [*call, "-"]], log)
    run(commands.normalise(called, out, reference=fasta, original_tag="ORIGINAL"), log)
    return out


def keeps(text: str, expected: float) -> Keep:
    """The filter that ``QUAL DEPTH MQ [MORE]`` describes; `expected` is the sample's mean depth."""
    qual, depth, mapping_quality, *more = text.split(maxsplit=3)
    code = compile(more[0], "filter", "eval") if more else None

    def keep(event: Event) -> bool:
        facts = event.facts
        if facts["QUAL"] < float(qual) or facts["FORMAT/DP"] < float(depth) or facts["MQ"] < float(mapping_quality):
            return False
        names = {**facts, "DP": facts["FORMAT/DP"], "indel": event.kind != "SNV", "expected": expected}
        return code is None or bool(eval(code, {"__builtins__": {}}, _Zeros(names)))

    return keep


class _Zeros(dict[str, float]):
    """Tags that a record lacks count as 0."""

    def __missing__(self, key: str) -> float:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--depths", default="10,30,60")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--bp", type=int, default=500_000)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--try", dest="tries", action="append", default=[])
    parser.add_argument("--filter", dest="filters", action="append", default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    limits = FilterLimits()
    now = f"{limits.min_qual:g} {limits.min_depth} {limits.min_mapping_quality}"
    filters = dict(one.split("=", 1) for one in ["all=0 0 0", f"PASS={now}", *options.filters])
    tries = dict(one.split("=", 1) for one in options.tries or ["now=0.005"])
    reference = load_reference(options.reference, options.bp)
    depths = [float(depth) for depth in options.depths.split(",")]
    sums: dict[tuple[str, str, float], dict[str, Score]] = {}
    for seed in map(int, options.seeds.split(",")):
        for depth in depths:
            folder = options.work / f"{options.bp}-{seed}-{depth:g}"
            fasta, bam = aligned(reference, seed, depth, folder)
            donor, _, truth = make_donor(reference, seed, folder)
            for name, text in tries.items():
                prior, *extra = text.split()
                out = folder / ("_".join([prior, *extra]).replace("/", "-") + ".vcf")
                calls = read_events(pile_up(bam, fasta, out, float(prior), extra, donor.contigs), donor.contigs)
                for which, rule in filters.items():
                    keep = keeps(rule, depth)
                    made = scores(truth, [event for event in calls if keep(event)], donor.contigs)
                    so_far = sums.setdefault((name, which, depth), dict.fromkeys(made, Score()))
                    for kind, score in made.items():
                        so_far[kind] += score
    head = "".join(f"{f'SNV {depth:g}x':>26}{f'indel {depth:g}x':>26}" for depth in depths)
    print(f"{'settings / filter':34}{head}\n{'':34}" + f"{'recall  prec.  F1     gt':>26}" * 2 * len(depths))
    for name in tries:
        for which in filters:
            cells = "".join(
                f"  {s.recall:.4f}{s.precision:7.4f}{s.f1:7.4f}{s.genotypes:6.3f}"[:28]
                for depth in depths
                for s in (sums[name, which, depth][kind] for kind in ("SNV", "indel"))
            )
            print(f"{name + ' / ' + which:34}{cells}")
    if options.json:
        rows = [
            {
                "settings": name,
                "filter": which,
                "depth": depth,
                "kinds": {k: [s.truth, s.found, s.same_genotype, s.called, s.right] for k, s in by_kind.items()},
            }
            for (name, which, depth), by_kind in sums.items()
        ]
        options.json.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
