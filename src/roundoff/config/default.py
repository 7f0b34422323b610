"""The commented default `config.yaml` and its JSON schema, written from the types."""

import json
import textwrap

import yaml

from roundoff.config.models import Config

HEADER = """\
# yaml-language-server: $schema=workflow/schemas/config.schema.json
# What a run computes. Written by `python -m roundoff.config.default`; edit freely.
"""

EMBEDDED = [
    {"id": "CSI1", "source": "bold5000_csi1"},
    {"id": "CSI2", "source": "bold5000_csi2"},
]


def default_config() -> dict:
    """The default run: two embedded heads, two networks, ten samples."""
    values = Config(subjects=EMBEDDED).model_dump(exclude_none=True)
    return {name: values.get(name) for name in Config.model_fields}


def default_yaml() -> str:
    """The default configuration with each setting explained above it."""
    values, parts = default_config(), [HEADER]
    for name, field in Config.model_fields.items():
        comment = textwrap.indent(field.description or "", "# ", lambda line: True)
        if values[name] is None:
            parts.append(f"{comment}\n")
            continue
        text = yaml.safe_dump({name: values[name]}, sort_keys=False, width=88)
        parts.append(f"{comment}\n{text}")
    return "\n".join(parts)


def json_schema() -> str:
    """JSON Schema of the configuration."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def main() -> None:
    """Rewrite both files in the current folder."""
    from roundoff.atomic import write_text

    write_text("config.yaml", default_yaml())
    write_text("workflow/schemas/config.schema.json", json_schema())


if __name__ == "__main__":
    main()
