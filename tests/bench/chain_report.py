"""What the benchmark of the chain found, and its tables."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ENGINE = ("align", "call")
STAGES = ("split", "align", "call", "gather", "annotate", "deliver", "archive")

Span = tuple[float, float]
"""Seconds from the drop: start and end."""


@dataclass(frozen=True, slots=True)
class Work:
    """A finished piece of work: seconds from the drop, and its marker's CPU seconds."""

    stage: str
    start: float
    end: float
    core_seconds: float


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A Batch task's life, seconds from the drop: made, process begun, process ended."""

    name: str
    made: float
    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory, MB: of all tasks or programs together (PSS), and of the largest process of each (RSS)."""

    together: float
    largest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Chain:
    """One run of the chain.

    Attributes:
        vcf: Its calls.
        uploaded: Seconds that the lab's upload took.
        works: What the markers tell.
        tasks: What Batch tells.
        cpu: CPU seconds from the drop to the archive marker, by process of the stack; `tasks` are Batch's children.
        others: CPU seconds that strangers used on this machine meanwhile.
        stalled: Seconds in which every process that wanted to run waited for the disk.
        wall: Seconds over which `cpu` and `others` were taken.
        memory: Of the Batch tasks.
    """

    vcf: Path
    uploaded: float
    works: tuple[Work, ...]
    tasks: tuple[TaskRun, ...]
    cpu: Mapping[str, float]
    others: float
    stalled: float
    wall: float
    memory: Memory


@dataclass(frozen=True, slots=True)
class Classic:
    """One run of the yardstick: its calls, CPU and wall seconds, the CPU seconds of strangers meanwhile, memory.

    `programs` is CPU by program, sampled: short ones are missed in part.
    """

    vcf: Path
    cpu: float
    wall: float
    others: float
    memory: Memory
    programs: Mapping[str, float]


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans merged where they touch, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def length(spans: Iterable[Span]) -> float:
    """Seconds that the spans cover."""
    return sum(end - start for start, end in union(spans))


def tell_scores(scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Print accuracy, and whether the chain's is at least the yardstick's."""
    print(f"{'accuracy':<16}{'truth':>7}{'called':>8}{'recall':>9}{'precision':>11}{'F1':>9}{'genotype':>10}")
    for kind in scores["chain"]:
        for name, kinds in scores.items():
            one = kinds[kind]
            print(
                f"{kind:<6}{name:<10}{one['truth']:>7.0f}{one['called']:>8.0f}{one['recall']:>9.4f}"
                f"{one['precision']:>11.4f}{one['F1']:>9.4f}{one['genotype']:>10.4f}"
            )
    if "classic" in scores:
        worse = [
            f"{kind} {name}"
            for kind, one in scores["chain"].items()
            for name in ("recall", "precision", "F1")
            if one[name] < scores["classic"][kind][name]
        ]
        print(f"goal: nowhere below classic: {'MISSED in ' + ', '.join(worse) if worse else 'met'}")


def tell_cpu(chain: Chain, classic: Classic | None) -> None:
    """Print CPU seconds, and the ratio to the yardstick's."""

    def row(name: str, seconds: float) -> None:
        ratio = f"{seconds / classic.cpu:>8.2f}" if classic else ""
        print(f"{name:<46}{seconds:>9.2f}{ratio}")

    print(f"\n{'CPU seconds':<46}{'s':>9}{'  /classic' if classic else ''}")
    if classic:
        row("classic: align, sort, duplicates, call", classic.cpu)
    engine = sum(work.core_seconds for work in chain.works if work.stage in ENGINE)
    for stage in STAGES:
        row(f"  {stage} (markers)", sum(work.core_seconds for work in chain.works if work.stage == stage))
    row("engine: align + call (markers)", engine)
    row("engine with start of processes (Batch's children)", chain.cpu.get("batch tasks", 0.0))
    for part, seconds in sorted(chain.cpu.items(), key=lambda item: -item[1]):
        row(f"  process {part}", seconds)
    row("whole stack and lab, drop to archived", sum(chain.cpu.values()))
    if classic:
        met = "met" if engine <= classic.cpu / 2 else "MISSED"
        print(f"goal: engine at most 0.50 of classic: {engine / classic.cpu:.2f}, {met}")


def tell_memory(chain: Chain, classic: Classic | None) -> None:
    """Print peak memory, and the yardstick's programs with their CPU."""
    print(f"\n{'peak memory':<46}{'MB':>9}{'   CPU s':>9}")
    for name, memory, programs in (
        ("Batch tasks", chain.memory, {}),
        *((("classic", classic.memory, classic.programs),) if classic else ()),
    ):
        print(f"{name + ', all at once':<46}{memory.together:>9.0f}")
        for program, most in sorted(memory.largest.items(), key=lambda item: -item[1]):
            seconds = f"{programs[program]:>9.1f}" if program in programs else ""
            print(f"  {program:<44}{most:>9.0f}{seconds}")


def tell_wall(chain: Chain, classic: Classic | None) -> None:
    """Print the timeline, what ran when no align or call task did, and the gaps in which nothing ran."""
    until = max(work.end for work in chain.works if work.stage == "deliver")
    spans = {stage: [(work.start, work.end) for work in chain.works if work.stage == stage] for stage in STAGES}
    print(
        f"\n{'wall seconds from the drop':<28}{'pieces':>7}{'first start':>13}{'last end':>10}{'busy':>8}{'longest':>9}"
    )
    for stage, pieces in spans.items():
        longest = max(end - start for start, end in pieces)
        first, last = min(start for start, _ in pieces), max(end for _, end in pieces)
        print(f"  {stage:<26}{len(pieces):>7}{first:>13.2f}{last:>10.2f}{length(pieces):>8.2f}{longest:>9.2f}")
    ahead = max(end for _, end in spans["split"]) - min(start for start, _ in spans["align"])
    print(f"{'alignment began before the end of the split by':<50}{ahead:>8.2f}")
    engine = length([span for stage in ENGINE for span in spans[stage]])
    busy = length([span for pieces in spans.values() for span in pieces if span[0] < until])
    if classic:
        print(f"{'classic':<50}{classic.wall:>8.2f}   (others used {classic.others / classic.wall:.2f} cores)")
    others = f"(others used {chain.others / chain.wall:.2f} cores, all waited for the disk {chain.stalled:.1f} s)"
    print(f"{'drop to delivered':<50}{until:>8.2f}   {others}")
    print(f"{'  an align or call task was running':<50}{engine:>8.2f}")
    print(f"{'  only other stages were running':<50}{busy - engine:>8.2f}")
    print(f"{'  nothing was running':<50}{until - busy:>8.2f}")
    met = "met" if until - engine <= 0.1 * engine else "MISSED"
    print(f"goal: not engine at most 0.10 of engine: {(until - engine) / engine:.2f}, {met}")
    _tell_gaps(chain, until)
    _tell_tasks(chain)


def _tell_gaps(chain: Chain, until: float) -> None:
    print("\ngaps in which no stage ran (s)")
    works = sorted((work for work in chain.works if work.start < until), key=lambda work: work.start)
    print(f"  {'drop -> uploaded (by the lab)':<48}{chain.uploaded:>8.2f}")
    reached, before = chain.uploaded, "uploaded"
    for work in works:
        if work.start > reached:
            print(f"  {before + ' -> ' + work.stage:<48}{work.start - reached:>8.2f}")
        if work.end > reached:
            reached, before = work.end, work.stage


def _tell_tasks(chain: Chain) -> None:
    """Print what surrounds the tasks' own measured time; markers and tasks are paired by their order of ending."""
    print(
        f"\n{'Batch tasks, mean s':<22}{'runs':>6}{'queued':>9}{'process':>9}{'start-up':>10}{'measured':>10}{'end':>7}"
    )
    for stage in ENGINE:
        runs = sorted((task for task in chain.tasks if task.name.startswith(stage)), key=lambda task: task.ended)
        works = sorted((work for work in chain.works if work.stage == stage), key=lambda work: work.end)
        if not runs or len(runs) != len(works):
            print(f"  {stage:<20}{len(runs):>6}   (not one run per marker: there were retries)")
            continue
        pairs = list(zip(runs, works, strict=True))
        figures = [
            sum(values) / len(pairs)
            for values in (
                [task.begun - task.made for task in runs],
                [task.ended - task.begun for task in runs],
                [work.start - task.begun for task, work in pairs],
                [work.end - work.start for work in works],
                [task.ended - work.end for task, work in pairs],
            )
        ]
        print(
            f"  {stage:<20}{len(runs):>6}{figures[0]:>9.2f}{figures[1]:>9.2f}{figures[2]:>10.2f}{figures[3]:>10.2f}"
            f"{figures[4]:>7.2f}"
        )
        idle = [
            later.begun - earlier.ended for earlier, later in itertools.pairwise(sorted(runs, key=lambda t: t.begun))
        ]
        follow = [gap for gap in idle if gap > 0]
        if follow:
            print(f"    a freed slot was taken again after {min(follow):.3f} s at best")
