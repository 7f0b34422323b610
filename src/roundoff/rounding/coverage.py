"""What was perturbed and what was not: the evidence of a run."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

PERTURBED = "perturbed"
EXACT = "exact"
EXCLUDED = "excluded"
UNSUPPORTED = "unsupported"
STATUSES = (PERTURBED, EXACT, EXCLUDED, UNSUPPORTED)


class UnsupportedOperator(NotImplementedError):  # noqa: N818
    """A float operator has no kernel: it would have run unperturbed.

    `operator` (name), `module` (path), `shapes` (of its tensor arguments).
    """

    def __init__(self, operator: str, module: str, shapes: list[tuple[int, ...]]):
        self.operator, self.module, self.shapes = operator, module, shapes
        super().__init__(
            f"{operator} on tensors of shapes {shapes} in module "
            f"{module or '(top level)'!r} has no random-rounding kernel, so its "
            "roundings would stay those of ordinary arithmetic. Three ways out: "
            f"exclude the module (exclude=[{module!r}]), which is reported; run with "
            "strict=False, which leaves the operator unperturbed and lists it under "
            "`rounding.coverage`; or write the operator with supported ones."
        )


@dataclass
class Line:
    """Calls of one operator in one module. `operations`: elementary roundings."""

    operator: str
    module: str
    status: str
    calls: int = 0
    operations: int = 0
    note: str = ""


class Coverage:
    """Operators met under random rounding, by (operator, module, status)."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str], Line] = {}
        self.settings: dict[str, Any] = {}
        self.orders: dict[str, str] = {}

    def add(
        self, operator: str, module: str, status: str, operations: int = 0, note=""
    ) -> None:
        """Count one call of an operator."""
        key = (operator, module, status)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(operator, module, status, note=note)
        line.calls += 1
        line.operations += operations

    def add_operations(self, operator: str, module: str, operations: int) -> None:
        """Add elementary operations to a call already counted."""
        self._lines[operator, module, PERTURBED].operations += operations

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def __len__(self) -> int:
        return len(self._lines)

    def calls(self, status: str) -> int:
        """Number of operator calls with this status."""
        return sum(line.calls for line in self if line.status == status)

    @property
    def operations(self) -> int:
        """Elementary operations perturbed (exact results among them included)."""
        return sum(line.operations for line in self if line.status == PERTURBED)

    @property
    def fraction(self) -> float:
        """Share of the rounding operator calls that were perturbed; NaN if none.

        Operators in which nothing is rounded do not count; excluded and unsupported
        ones count against.
        """
        done = self.calls(PERTURBED)
        total = done + self.calls(EXCLUDED) + self.calls(UNSUPPORTED)
        return done / total if total else float("nan")

    @property
    def unsupported(self) -> list[Line]:
        """Float operators that ran unperturbed for want of a kernel."""
        return [line for line in self if line.status == UNSUPPORTED]

    def by(self, field: str) -> dict[str, dict[str, int]]:
        """Totals by `operator`, `module` or `status`: calls and operations."""
        totals: dict[str, dict[str, int]] = {}
        for line in self:
            total = totals.setdefault(
                getattr(line, field), {"calls": 0, "operations": 0}
            )
            total["calls"] += line.calls
            total["operations"] += line.operations
        return totals

    def by_operator(self) -> dict[str, dict[str, int]]:
        """Calls and elementary operations per operator name."""
        return self.by("operator")

    def by_module(self) -> dict[str, dict[str, int]]:
        """Calls and elementary operations per module path ('' is the top level)."""
        return self.by("module")

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain types for a JSON sidecar."""
        fraction = self.fraction
        return {
            "settings": dict(self.settings),
            "fraction_perturbed": None if fraction != fraction else fraction,
            "operations_perturbed": self.operations,
            "calls": {status: self.calls(status) for status in STATUSES},
            "orders": dict(self.orders),
            "by_operator": self.by_operator(),
            "lines": [asdict(line) for line in self],
        }

    def table(self) -> str:
        """Text table, one line per operator and status, busiest first."""
        rows: dict[tuple[str, str], list[int]] = {}
        for line in self:
            row = rows.setdefault((line.operator, line.status), [0, 0])
            row[0] += line.calls
            row[1] += line.operations
        ordered = sorted(rows.items(), key=lambda item: (-item[1][1], item[0]))
        width = max([8, *(len(operator) for operator, _ in rows)])
        text = [
            f"{'operator':<{width}}  {'status':<11} {'calls':>7} {'operations':>15}"
        ]
        text += [
            f"{operator:<{width}}  {status:<11} {calls:>7} {operations:>15,}"
            for (operator, status), (calls, operations) in ordered
        ]
        text.append(
            f"{self.operations:,} elementary operations perturbed; "
            f"{100 * self.fraction:.1f} % of the rounding operator calls"
        )
        return "\n".join(text)

    __str__ = table

    def __repr__(self) -> str:
        calls = ", ".join(f"{self.calls(status)} {status}" for status in STATUSES)
        return f"Coverage({calls}; {self.operations:,} elementary operations)"
