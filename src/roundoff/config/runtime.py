"""Where the software of a run comes from: the host, or a container."""

from typing import Literal

from pydantic import Field

from roundoff.config.section import Section

Runtime = Literal["host", "docker", "podman", "apptainer"]


class Images(Section):
    """Images by what runs in them; unset, those `make images` and `make sif` build."""

    roundoff: str | None = Field(None, min_length=1)
    verrou: str | None = Field(None, min_length=1)
