"""Scans and weights the workflow can fetch: one table, `sources.tsv`."""
