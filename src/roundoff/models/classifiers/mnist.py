"""The MNIST network of Gonzalez-Pepe et al., arXiv 2601.17180, as in its code."""

from torch import Tensor, nn


class MnistCnn(nn.Module):
    """Convolutions 1-32-64-128-10, 3x3; ReLU and 2x2 max pooling after the first three.

    A 1x1 pooling follows the last. The 10 x 3 x 3 values are flattened: 90 "logits", of
    which the labels 0 to 9 address the first ten, as published. Images (N, 1, 28, 28)
    to (N, 90), float32.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.conv4 = nn.Conv2d(128, 10, 3, padding=1)
        self.pool1, self.pool2, self.pool3 = (nn.MaxPool2d(2) for _ in range(3))
        self.pool4 = nn.MaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.pool1(self.conv1(x).relu())
        x = self.pool2(self.conv2(x).relu())
        x = self.pool3(self.conv3(x).relu())
        return self.pool4(self.conv4(x)).flatten(1)
