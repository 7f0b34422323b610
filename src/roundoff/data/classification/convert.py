"""From the published files of a data set to one checked file."""

import tempfile
from pathlib import Path

from roundoff.atomic import atomic_path
from roundoff.checksums import sha256_of_array
from roundoff.data.classification.archives import read_members
from roundoff.data.classification.download import download, how_to_get
from roundoff.data.classification.readers import READERS, Arrays
from roundoff.data.classification.tables import contents, origins_of, require_known
from roundoff.errors import RoundoffError


def convert(dataset: str, output: Path, user: Path | None = None) -> None:
    """Write a data set to `output` (.safetensors: train/test images and labels, uint8).

    `user`: a file or folder of the user that holds the published files; otherwise they
    are downloaded, converted and not kept. Raises `RoundoffError` when they cannot be
    had, or when the arrays are not those of `contents.tsv`.
    """
    require_known(dataset)
    if user is not None:
        arrays = _read(dataset, _files_of(dataset, user))
    elif all(
        row.kind == "user" for rows in origins_of(dataset).values() for row in rows
    ):
        raise RoundoffError(how_to_get(dataset))
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=output.parent, prefix=".partial-"
        ) as folder:
            arrays = _read(dataset, download(dataset, Path(folder)))
    check(dataset, arrays)
    _save(arrays, output)


def check(dataset: str, arrays: Arrays) -> None:
    """Raise `RoundoffError` unless the arrays are the published ones, in their order.

    Data sets whose contents are not in the table (the user's own) are only checked for
    consistency.
    """
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if len(images) != len(labels):
            raise RoundoffError(
                f"{dataset}: {len(images)} {split} images, but {len(labels)} labels"
            )
    for name, array in arrays.items():
        expected = contents().get((dataset, name))
        if expected and sha256_of_array(array) != expected:
            raise RoundoffError(
                f"{dataset}: {name} differ from the published ones (SHA-256). "
                "The files are damaged or another version: fetch them again."
            )


def _files_of(dataset: str, user: Path) -> list[Path]:
    if user.is_file():
        return [user]
    if not user.is_dir():
        raise RoundoffError(
            f"datasets.{dataset}: there is no file or folder {user}.\n"
            f"{how_to_get(dataset)}"
        )
    members = {m for reader in READERS[dataset] for m in reader.members}
    archives = {row.file for rows in origins_of(dataset).values() for row in rows}
    files = [p for p in sorted(user.rglob("*")) if p.is_file()]
    plain = [p for p in files if p.name.removesuffix(".gz") in members]
    return plain or [p for p in files if p.name in archives]


def _read(dataset: str, paths: list[Path]) -> Arrays:
    if not paths:
        raise RoundoffError(f"none of its files is there.\n{how_to_get(dataset)}")
    problems = []
    for reader in READERS[dataset]:
        try:
            return reader.read(read_members(paths, reader.members))
        except RoundoffError as error:
            problems.append(str(error))
    raise RoundoffError(f"{dataset}: " + "; ".join(problems))


def _save(arrays: Arrays, output: Path) -> None:
    import numpy as np
    from safetensors.numpy import save

    content = save({n: np.ascontiguousarray(a) for n, a in arrays.items()})
    with atomic_path(output) as temporary:
        # save_file would make a file that only its owner may read
        temporary.write_bytes(content)
