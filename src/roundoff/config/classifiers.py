"""Settings of the target `classifiers`."""

from typing import Literal

from pydantic import Field

from roundoff.config.section import Section


class XceptionFiles(Section):
    """Weights of Xception and pictures to classify, both the user's own."""

    weights: str
    images: str = Field(description="folder of classes with pictures, as ImageNet's")
    count: int = Field(1000, ge=5, description="pictures, the first by name")


class Classifiers(Section):
    """How much of the study of classifiers is computed."""

    size: Literal["demo", "published"] = "demo"
    epochs: int = Field(6, ge=1, description="of the training on MNIST")
    xception: XceptionFiles | None = None

    @property
    def test_images(self) -> int:
        """MNIST test images of each evaluation."""
        return 10_000 if self.size == "published" else 2_000
