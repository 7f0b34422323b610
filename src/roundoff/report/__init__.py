"""The static report: from verdict to map to table, in one file that opens offline."""
