"""Pages from the templates of this package."""

from typing import Any

import jinja2


def render(template: str, **content: Any) -> str:
    """The page of a template in `templates/`; a name it misses is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("roundoff.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)
