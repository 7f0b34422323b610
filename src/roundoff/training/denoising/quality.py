"""What a denoiser is worth on a scan it never saw: PSNR after adding noise."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_closing, gaussian_filter

from roundoff.images.conform import conform
from roundoff.models.base import BrainModel
from roundoff.training.denoising.noise import add_noise
from roundoff.training.denoising.volumes import GRID

PEAK = 255.0
SIGMAS = tuple(np.round(np.arange(0.2, 1.25, 0.05), 2))
HEAD = 20  # intensity (0-255) above which a voxel is not air


@dataclass(frozen=True)
class Quality:
    """PSNR (dB, peak 255) over a region of one scan; `sigma`: of the best Gaussian."""

    scan: str
    sd: float
    region: str
    noisy: float
    gaussian: float
    sigma: float
    network: float

    def cells(self) -> list[str]:
        """The row as text."""
        values = astuple(self)
        return [f"{v:.2f}" if isinstance(v, float) else str(v) for v in values]


HEADER = tuple(f.name for f in fields(Quality))


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two images on the scale 0-255, dB."""
    error = np.mean((image.astype(np.float64) - clean) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(PEAK**2 / error))


def compare(
    model: BrainModel, path: Path, sds: Sequence[float], seed: int = 0
) -> Iterator[Quality]:
    """Rows for the whole volume and for the head alone, per standard deviation.

    The scan, conformed to the model's 2 mm grid, is taken as the truth. The Gaussian
    filter (3-D, on the same volume) has the sigma that is best for that scan, noise
    and region, which no user could know. `model` gives `denoised` in 0-255.
    """
    clean = np.asarray(conform(nib.load(path), GRID).dataobj, np.float32)
    head = binary_closing(clean > HEAD, iterations=2)
    name = path.name.split(".")[0]
    for sd in sds:
        noisy = add_noise(clean, sd, np.random.default_rng([seed, round(10 * sd)]))
        found = denoise(model, noisy)
        filtered = {sigma: gaussian_filter(noisy, sigma) for sigma in SIGMAS}
        for region, mask in (("volume", np.ones_like(head)), ("head", head)):
            best = max((psnr(f[mask], clean[mask]), s) for s, f in filtered.items())
            yield Quality(
                *(name, sd, region, psnr(noisy[mask], clean[mask])),
                *(best[0], float(best[1]), psnr(found[mask], clean[mask])),
            )


def denoise(model: BrainModel, noisy: np.ndarray) -> np.ndarray:
    """The model's output on the scale of the noisy volume (it gives 0-255)."""
    low, high = float(noisy.min()), float(noisy.max())
    found = model.predict(noisy, GRID.voxel_size).maps["denoised"]
    return found / 255.0 * (high - low) + low
