"""A workflow small enough for tests: phantom heads and a network of the user's."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from tests_support import phantom

ROOT = Path(__file__).resolve().parents[1]

TINY = {
    "title": "Tiny network",
    "task": "segmentation",
    "weights_kind": "random weights",
    "factory": "tiny_model:build",
    "grid": {"voxel_size": 6.0, "shape": [32, 32, 32]},
    "maps": [{"name": "logit", "title": "winning logit"}],
    "labels": "tiny.tsv",
}


class Study:
    """A folder with a configuration, scans and a model, and the runs in it."""

    def __init__(self, folder: Path, subjects=("01", "0002")) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        shutil.copy(Path(__file__).with_name("tiny_model.py"), folder)
        (folder / "tiny.tsv").write_text(
            "index\tname\tcolor\n0\tair\t#000000\n1\tinner\t#dd8800\n2\touter\t#0088dd\n"
        )
        self.config = {
            "subjects": [self.subject(name) for name in subjects],
            "custom_models": {"tiny": TINY},
            "models": ["tiny"],
            "samples": 3,
        }
        self.write()

    @classmethod
    def at(cls, folder: Path, config: dict) -> "Study":
        """A study that already lies in a folder."""
        made = cls.__new__(cls)
        made.folder, made.config = folder, dict(config)
        return made

    def subject(self, name: str) -> dict:
        """Write a phantom scan and return its row."""
        path = self.folder / "my scans" / f"{name}.nii.gz"
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            seed = sum(map(ord, name))
            scan = nib.Nifti1Image(phantom(seed=seed), np.diag([4.0, 4.0, 4.0, 1.0]))
            nib.save(scan, path)
        return {"id": name, "path": str(path.relative_to(self.folder))}

    def write(self, **changes) -> None:
        """Write the configuration, changed."""
        self.config |= changes
        text = yaml.safe_dump(self.config, sort_keys=False)
        (self.folder / "config.yaml").write_text(text)

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        """A snakemake call in this folder."""
        head = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
        head += ["--directory", self.folder, "--cores", cores, *arguments]
        return [str(part) for part in head]

    def run(self, *arguments: str, cores: int = 2, check: bool = True):
        """Run snakemake to its end; standard output and error in `.stdout`."""
        done = subprocess.run(
            self.command(*arguments, cores=cores),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"snakemake failed:\n{done.stdout[-6000:]}")
        return done

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs a run would start, by rule."""
        text = self.run("--dry-run", *arguments).stdout
        if "Job stats" not in text:
            return {}
        lines = text.split("Job stats:")[1].splitlines()[3:]
        rows = [line.split() for line in lines]
        stop = next(i for i, row in enumerate(rows) if not row or row[0] == "total")
        return {name: int(count) for name, count in rows[:stop]}

    def status(self) -> pd.DataFrame:
        """The status a run left."""
        types = {"subject": str, "why": str}
        path = self.folder / "results/status.tsv"
        return pd.read_csv(path, sep="\t", dtype=types, keep_default_na=False)

    def checksums(self) -> dict[str, str]:
        """SHA-256 of every result, but what tells times: logs, timings, status.

        What a failed run leaves (a partial report) counts: it must be gone.
        """
        results = self.folder / "results"
        skip = {"logs", "benchmarks", "status.tsv", "status.html"}
        return {
            str(path.relative_to(results)): hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            for path in sorted(results.rglob("*"))
            if path.is_file() and path.relative_to(results).parts[0] not in skip
        }
