"""Networks that classify images: the MNIST network of the NaN study, Xception."""

from roundoff.models.classifiers.mnist import MnistCnn
from roundoff.models.classifiers.xception import Xception, load_xception

__all__ = ["MnistCnn", "Xception", "load_xception"]
