"""Published figures of arXiv 2601.17180, for tables that lay ours beside them.

Read from the figures' vector files; the 15 CoRR subjects, official weights, 1 mm.
"""

from dataclasses import dataclass

import pandas as pd

BLOCKS = (
    "encode2",
    "encode3",
    "encode4",
    "bottleneck",
    "decode4",
    "decode3",
    "decode2",
)
DECODER = ("decode4", "decode3", "decode2", "decode1", "outp_block", "classifier")

FASTSURFER_AGGRESSIVE = {  # threshold, view: share of windows skipped per block
    (1.0, "coronal"): (0.775, 0.679, 0.491, 0.211, 0.343, 0.597, 0.734),
    (1.0, "axial"): (0.748, 0.643, 0.490, 0.227, 0.351, 0.564, 0.708),
    (1.0, "sagittal"): (0.748, 0.643, 0.492, 0.230, 0.357, 0.564, 0.708),
    (0.5, "coronal"): (0.809, 0.760, 0.660, 0.474, 0.663, 0.762, 0.810),
    (0.5, "axial"): (0.806, 0.762, 0.664, 0.481, 0.666, 0.764, 0.811),
    (0.5, "sagittal"): (0.804, 0.755, 0.661, 0.474, 0.663, 0.757, 0.807),
}
FASTSURFER_CONSERVATIVE = {
    (1.0, "coronal"): (0.048, 0.200, 0.505, 0.700, 0, 0),
    (1.0, "axial"): (0.064, 0.237, 0, 0, 0, 0),
    (1.0, "sagittal"): (0.067, 0.248, 0, 0, 0, 0),
    (0.8, "coronal"): (0.059, 0.237, 0.537, 0.718, 0, 0),
    (0.8, "axial"): (0.086, 0.275, 0, 0.707, 0, 0),
    (0.8, "sagittal"): (0.084, 0.288, 0, 0.704, 0, 0),
    (0.5, "coronal"): (0.137, 0.412, 0.661, 0.776, 0.797, 0.817),
    (0.5, "axial"): (0.187, 0.436, 0.608, 0.764, 0.788, 0.809),
    (0.5, "sagittal"): (0.195, 0.456, 0.616, 0.760, 0.777, 0.797),
    (0.4, "coronal"): (0.265, 0.633, 0.790, 0.847, 0.859, 0.860),
    (0.4, "axial"): (0.331, 0.646, 0.727, 0.823, 0.842, 0.843),
    (0.4, "sagittal"): (0.343, 0.648, 0.735, 0.819, 0.839, 0.840),
}
FONDUE_NODES = (
    *("conv1_1", "conv2_1", "conv3_1", "conv4_1"),
    *("conv0_2", "conv1_2", "conv2_2", "conv3_2", "conv4_2"),
    *("conv0_3", "conv1_3", "conv2_3", "conv3_3"),
    *("conv0_4", "conv1_4", "conv2_4", "conv0_5", "conv1_5", "conv0_6"),
)
FONDUE_CONSERVATIVE = {  # axial; other nodes and T = 1 are 0
    0.8: "686 0 0 0 730 766 0 0 0 758 771 0 0 759 772 0 759 772 759",
    0.5: "830 101 82 4 866 866 139 108 17 871 869 147 121 871 869 153 871 869 871",
    0.4: "856 2 15 0 875 872 45 81 0 878 875 140 180 881 878 261 884 881 888",
}

FONDUE_PSNR = {  # dB, mean of three directions, central slices; unmodified: 40.73
    ("conservative", 1.0): 40.50,
    ("conservative", 0.8): 40.67,
    ("conservative", 0.5): 40.67,
    ("conservative", 0.4): 40.73,
    ("aggressive", 1.0): 35.17,
    ("aggressive", 0.75): 35.47,
    ("aggressive", 0.5): 35.60,
    ("aggressive", 0.4): 25.70,
}
FONDUE_PSNR_DEFAULT = 40.73
FONDUE_SSIM = {
    ("conservative", 1.0): 0.9917,
    ("conservative", 0.8): 0.9927,
    ("conservative", 0.5): 0.9927,
    ("conservative", 0.4): 0.9937,
    ("aggressive", 1.0): 0.9773,
    ("aggressive", 0.75): 0.9773,
    ("aggressive", 0.5): 0.9773,
    ("aggressive", 0.4): 0.9777,
}
FONDUE_SSIM_DEFAULT = 0.9927


@dataclass(frozen=True)
class Overall:
    """Skipped share over a network: by blocks or convolutions, and by work."""

    unweighted: float | None
    weighted: float | None


OVERALL = {
    ("fastsurfer", "aggressive", 1.0): Overall(0.3349, 0.12),
    ("fastsurfer", "aggressive", 0.5): Overall(0.4389, 0.136),
    ("fastsurfer", "conservative", 1.0): Overall(0.057, 0.08),
    ("fastsurfer", "conservative", 0.8): Overall(0.103, 0.21),
    ("fastsurfer", "conservative", 0.5): Overall(0.300, 0.485),
    ("fastsurfer", "conservative", 0.4): Overall(0.352, 0.53),
    ("fondue", "conservative", 1.0): Overall(0.0, 0.0),
    ("fondue", "conservative", 0.8): Overall(0.269, 0.52),
    ("fondue", "conservative", 0.5): Overall(0.340, 0.61),
    ("fondue", "conservative", 0.4): Overall(0.339, 0.62),
}
"""Unweighted: aggressive FastSurfer over its 45 convolutions, everything else over
blocks; weighted by multiply-accumulates: recomputed from the published block shares."""


def overall(family: str, mode: str, threshold: float) -> Overall:
    """The published shares of "fastsurfer" or "fondue", None where not published."""
    return OVERALL.get((family, mode, threshold), Overall(None, None))


def block_shares(family: str, mode: str) -> pd.DataFrame:
    """Published skipped shares: threshold, view, block, share."""
    rows = []
    if family == "fondue" and mode == "conservative":
        for threshold, text in FONDUE_CONSERVATIVE.items():
            shares = [int(v) / 1000 for v in text.split()]
            for block, share in zip(FONDUE_NODES, shares, strict=True):
                rows.append((threshold, "axial", block, share))
    if family == "fastsurfer":
        aggressive = mode == "aggressive"
        table = FASTSURFER_AGGRESSIVE if aggressive else FASTSURFER_CONSERVATIVE
        names = BLOCKS if aggressive else DECODER
        for (threshold, view), shares in table.items():
            for block, share in zip(names, shares, strict=True):
                rows.append((threshold, view, block, share))
    return pd.DataFrame(rows, columns=["threshold", "view", "block", "share"])
