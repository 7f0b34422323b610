"""Pictures from tables and maps alone; no statistic is computed here.

Every function takes an output path (.png, 150 dpi, written atomically, the same bytes
run to run) and arrays or data frames of `roundoff.uncertainty`::

    from roundoff.figures.style import Caption
    from roundoff.figures import distributions, maps, regions

    caption = Caption("CSI1", "FastSurferVINN", "demo weights",
                      "native random rounding", 10, statement(10))
    view = maps.View(focus=majority > 0)          # where the cuts go
    maps.bits_map(path, general, anatomy, affine, caption, state=state,
                  what="the winning logit", bound=23, view=view)
    maps.entropy_map(path, entropy, anatomy, affine, caption, view=view)
    maps.label_map(path, majority, anatomy, affine, caption,
                   names={index: name}, colors={index: "#rrggbb"}, view=view)
    regions.min_dice(path, pairs.minimum(names=names), title, caption.lines())
    regions.volume_spread(path, volumes.samples(...), volumes.table(...), caption)
    distributions.bits_histogram(path, histogram(bits), caption, what=...)

over several subjects and models::

    distributions.bits_overview(path, table, title, lines)  # rows "all" of bits_table
    distributions.bits_violins(path, {(model, subject): histogram}, title, lines)
    distributions.subject_bits(path, table, summary, title, lines)  # one dot a subject
    regions.min_dice(path, over_subjects(table, "min_dice", ["model", "region"]),
                     title, lines, series="model")

Conventions: bits on a fixed scale from 0 to 24 (RdYlGn, as published; `colors` takes
another map), decimal digits opposite; blue = identical in all samples ("at least");
voxels without a number transparent, never zero; the subject's left and right from the
affine, the convention stated. Volumes may have any orientation: they are turned to the
anatomical axes, so pass array and affine as they come from nibabel.
"""
