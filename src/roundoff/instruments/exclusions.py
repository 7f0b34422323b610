"""What Verrou must leave alone, and why: the exclusion file of one sample.

Verrou's rules are lines "symbol object". An object matches by its canonical path only
and a symbol by its exact name, so a rule written for another machine excludes nothing,
silently. The list is therefore made at run time from the libraries really loaded, and
the log is searched for every rule that must have been met.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roundoff.errors import RoundoffError
from roundoff.instruments.symbols import function_names

ANY = "*"


@dataclass(frozen=True)
class Rule:
    """One line of the file. `certain`: every run of Python meets it."""

    symbol: str
    object: str
    reason: str
    certain: bool = False

    def line(self) -> str:
        """The rule as Verrou reads it and repeats it in its log."""
        return f"{self.symbol}\t{self.object}"


@dataclass(frozen=True)
class Part:
    """Libraries to leave out whole (`symbols` empty), or by their functions."""

    files: tuple[str, ...]  # patterns of file names
    reason: str
    symbols: str = ""  # regular expression on raw function names
    certain: bool = False


LIBM = Part(
    ("libm.so*", "libm-*.so*", "libmvec*.so*", "libquadmath*.so*"),
    "tables and range reduction rely on rounding to nearest: perturbed sines are wrong",
)
PARTS = (
    LIBM,
    Part(("ld-linux*.so*", "ld-musl*"), "loader: no numerics", certain=True),
    Part(
        ("libc.so*", "libc-2*.so*", "libc.musl*"),
        "parses and prints numbers",
        certain=True,
    ),
    Part(("libgcc_s*.so*", "libstdc++*.so*"), "hash table sizes, number formats"),
    Part(
        ("python3*", "libpython3*.so*"),
        "Python's own numbers: clock, sizes of arrays, text; a perturbed clock would "
        "also consume random numbers and no seed would repeat",
        certain=True,
    ),
    Part(
        ("math.cpython*.so", "_json.cpython*.so", "_datetime.cpython*.so"),
        "Python's own numbers, in modules of their own",
    ),
    Part(
        ("libtorch_cpu*.so*", "libmkl_*.so*"),
        "MKL's vector sin, cos, tan, erf: range reduction, out of reach of any rule "
        "for libm",
        symbols=r"mkl_vml_kernel_[sdcz](Sin|Cos|Tan|Erf|SinCos|CIS)I?_",
    ),
    Part(
        ("libtorch_cpu*.so*",),
        "arange and linspace compute sizes and indices in floating point",
        symbols=r"6native[^\0]*?(arange|linspace)",
    ),
)
NUMPY = Part(
    ("_multiarray_umath.cpython*.so", "_umath_linalg.cpython*.so"),
    "NumPy outside the network (Verrou from 2.6 on leaves its core out unasked)",
)
VERROU_PRELOAD = "vgpreload_*"


def loaded_libraries(maps: str | None = None) -> list[str]:
    """Canonical paths of the executable files mapped into this process, sorted.

    `maps`: the text of a `/proc/<pid>/maps`, this process's by default.
    """
    text = Path("/proc/self/maps").read_text() if maps is None else maps
    found = set()
    for line in text.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
            found.add(str(Path(fields[5]).resolve()))
    return sorted(path for path in found if Path(path).is_file())


def exclusion_rules(
    libraries: Iterable[str], extra: Sequence[str] = (), numpy: bool = False
) -> list[Rule]:
    """The rules for these libraries (canonical paths), with the user's `extra` ones.

    `numpy`: perturb NumPy too. Raises `RoundoffError` for an extra rule that names no
    file or is not "symbol object".
    """
    parts = PARTS if numpy else (*PARTS, NUMPY)
    rules = [user_rule(text) for text in extra]
    for path in libraries:
        for part in parts:
            if any(fnmatch.fnmatch(Path(path).name, p) for p in part.files):
                rules += _rules_of(part, path)
    return rules


def user_rule(text: str) -> Rule:
    """A rule of the user's: "symbol object", the object `*` or an existing file."""
    symbol, _, name = text.strip().partition(" ")
    name = name.strip()
    if not symbol or not name or symbol.startswith("#"):
        raise RoundoffError(
            f"verrou.exclude: {text!r} is not of the form 'symbol object', such as "
            "'* /usr/lib/libfoo.so' or 'my_function *'"
        )
    if name != ANY:
        if not Path(name).is_file():
            raise RoundoffError(
                f"verrou.exclude: there is no file {name}, so the rule {text!r} would "
                "exclude nothing"
            )
        name = str(Path(name).resolve())
    return Rule(symbol, name, "asked for in verrou.exclude")


def missing_rules(rules: Sequence[Rule], libraries: Iterable[str]) -> list[str]:
    """Loaded libraries that should be left out whole but have no rule.

    A library loaded late, after the file was written, would be perturbed silently.
    """
    known = {rule.object for rule in rules}
    wanted = [part for part in (*PARTS, NUMPY) if not part.symbols]
    return [
        path
        for path in libraries
        if path not in known
        and any(fnmatch.fnmatch(Path(path).name, p) for w in wanted for p in w.files)
    ]


def write_rules(rules: Sequence[Rule], path: Path) -> None:
    """Write the file, each group of rules under its reason as a comment."""
    lines, reason = ["# Not perturbed, and why. Written for the libraries loaded."], ""
    for rule in rules:
        if rule.reason != reason:
            reason = rule.reason
            lines.append(f"# {reason}")
        lines.append(rule.line())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_used(rules: Sequence[Rule], used: Iterable[str]) -> list[str]:
    """Objects that every run of Python meets, but whose rule the log does not show.

    `used`: "symbol<tab>object" lines of the log. Raises `RoundoffError` when it shows
    none of them: the file did not act.
    """
    met = set(used)
    certain = [rule for rule in rules if rule.certain]
    unmet = [rule.object for rule in certain if rule.line() not in met]
    if certain and len(unmet) == len(certain):
        raise RoundoffError(
            f"verrou: the log shows no use of the exclusion of {', '.join(unmet)}, "
            "though every program runs them. The exclusion file did not act, so the "
            "sample is not trusted."
        )
    return unmet


def summary(rules: Sequence[Rule], used: Iterable[str]) -> list[Mapping[str, object]]:
    """Excluded objects for the record: object, reason, symbols, rules met."""
    met, groups = set(used), {}
    for rule in rules:
        row = groups.setdefault(
            (rule.object, rule.reason),
            {"object": rule.object, "reason": rule.reason, "rules": 0, "used": 0},
        )
        row["rules"] += 1
        row["used"] += rule.line() in met
        row["symbols"] = "all" if rule.symbol == ANY else "by name"
    return list(groups.values())


def _rules_of(part: Part, path: str) -> list[Rule]:
    if not part.symbols:
        return [Rule(ANY, path, part.reason, part.certain)]
    names = function_names(Path(path), part.symbols)
    return [Rule(name, path, part.reason) for name in names]
