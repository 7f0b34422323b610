"""Conform a scan to the grid of a model: checked, resampled, saved with a sidecar."""

import argparse
import json
from pathlib import Path

import nibabel as nib

from roundoff.checksums import require_sha256, sha256_of_file
from roundoff.images.check import load_volume
from roundoff.images.conform import conform
from roundoff.images.save import save_scan, save_sidecar
from roundoff.layout import grid_label
from roundoff.models.base import Grid
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and conform."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True, type=Path)
    parser.add_argument("--subject", required=True, help="named in errors")
    parser.add_argument("--sha256", help="expected checksum of the image")
    parser.add_argument("--grid", required=True, type=json.loads, help="JSON of a Grid")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    grid = Grid(**args.grid | {"shape": tuple(args.grid["shape"])})
    field = f"subjects[{args.subject}]"
    if args.sha256:
        require_sha256(args.image, args.sha256, f"{field}.sha256")
    scan = load_volume(args.image, field)
    save_sidecar(args.output, describe(args.subject, scan, args.image, grid))
    save_scan(args.output, conform(scan, grid))


def describe(subject: str, scan, path: Path, grid: Grid) -> dict:
    """Sidecar of a conformed scan."""
    zooms = [round(float(z), 4) for z in scan.header.get_zooms()[:3]]
    return {
        "Description": "T1w conformed for inference",
        "SkullStripped": False,
        "Resolution": {grid_label(grid): f"{grid.voxel_size:g} mm isotropic"},
        "Subject": subject,
        "SourceFile": str(path),
        "SourceBytes": path.stat().st_size,
        "SourceSha256": sha256_of_file(path),
        "SourceShape": list(scan.shape),
        "SourceVoxelSize": zooms,
        "SourceOrientation": "".join(nib.aff2axcodes(scan.affine)),
        "Interpolation": "trilinear",
    }


if __name__ == "__main__":
    run(main)
