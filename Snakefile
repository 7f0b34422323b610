"""Roundoff: `snakemake --cores N` runs everything `config.yaml` asks for."""


include: "workflow/Snakefile"


# An include resets the default target, so it is named again here.
rule default:
    default_target: True
    input:
        rules.all.input,
