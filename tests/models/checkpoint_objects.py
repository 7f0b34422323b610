"""Objects that official checkpoints hold beside their tensors."""


class Config(dict):
    """A configuration tree: a dictionary whose keys are attributes."""

    def __init__(self, **entries):
        super().__init__(entries)
        self.frozen = True

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
