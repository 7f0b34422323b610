"""Interleaved repetitions of several contestants, compared in pairs."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

CLOCKS = ("wall", "cpu")


@dataclass
class Times:
    """Seconds of each repetition of one contestant: wall clock, and processor time."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def of(self, clock: str) -> list[float]:
        """The repetitions by one clock, "wall" or "cpu" (time of all threads)."""
        return self.wall if clock == "wall" else self.cpu


def interleave(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict:
    """Call every contestant once per repetition, in turn: name to `Times`.

    One more round before warms up and is not counted. What disturbs the machine for a
    while disturbs neighbours alike, so pairs of one repetition may be compared.
    """
    times = {name: Times() for name in runs}
    for number in range(repeats + 1):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if number:
                times[name].wall.append(time.perf_counter() - wall)
                times[name].cpu.append(time.process_time() - cpu)
    return times


def speed_up(base: Times, other: Times, clock: str = "wall") -> float:
    """Median over repetitions of base / other: above 1, `other` is quicker."""
    pairs = zip(base.of(clock), other.of(clock), strict=True)
    return statistics.median(b / max(t, 1e-9) for b, t in pairs)


def middle(times: Times, clock: str = "wall") -> float:
    """Median time in ms."""
    return 1e3 * statistics.median(times.of(clock))
