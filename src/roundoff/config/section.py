"""What every section of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Some settings; a name that is not one of them is an error."""

    model_config = ConfigDict(extra="forbid")
