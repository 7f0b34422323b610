"""What turns a results folder into a BIDS derivative that validators accept."""

from typing import Any

from roundoff import __version__

# Statistical maps and warps have no place in the standard yet; neither do our records.
BIDSIGNORE = "**/*_statmap.nii.gz\n**/*_statmap.json\n**/*_xfm.*\n"


def dataset_description(
    title: str, container: str, seed: int, source: str
) -> dict[str, Any]:
    """Content of `dataset_description.json` of a derivative.

    `container` is the image by digest, or "none"; `source` where the scans came from.
    """
    generated = {
        "Name": "Roundoff",
        "Version": __version__,
        "Description": f"master seed {seed}",
    }
    if container != "none":
        generated["Container"] = {"Type": "docker", "Tag": container}
    return {
        "Name": title,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [generated],
        "SourceDatasets": [{"URL": source}],
    }
