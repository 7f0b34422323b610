"""What turns a results folder into a BIDS derivative that validators accept."""

from importlib.metadata import version
from typing import Any

from roundoff import __version__

PACKAGES = ("torch", "numba", "nibabel", "significantdigits")

# Statistical maps and warps have no place in the standard yet; neither do our records.
BIDSIGNORE = "**/*_statmap.nii.gz\n**/*_statmap.json\n**/*_xfm.*\n"


def dataset_description(
    title: str, container: str, seed: int, source: str, instrument: str
) -> dict[str, Any]:
    """Content of `dataset_description.json` of a derivative.

    `container` is the image by digest, or "none"; `source` where the scans came from.
    """
    generated: dict[str, Any] = {
        "Name": "Roundoff",
        "Version": __version__,
        "Description": (
            f"instrument {instrument}, master seed {seed}; the seed of each sample "
            "is in its sidecar"
        ),
    }
    if container != "none":
        generated["Container"] = {"Type": "docker", "Tag": container}
    versions = [{"Name": n, "Version": version(n)} for n in PACKAGES]
    return {
        "Name": title,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [generated, *versions],
        "SourceDatasets": [{"URL": source}],
    }
