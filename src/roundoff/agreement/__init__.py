"""Native rounding against Verrou: the bits of one computation by both instruments."""
