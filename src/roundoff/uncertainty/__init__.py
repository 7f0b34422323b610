"""What is computed over the samples of one (subject, model, instrument).

Arrays in, arrays and data frames out; no file is read here. Everything streams: feed
the same block of voxels of all N samples at a time (a slice, say), so that memory does
not grow with N times the volume.

Significant bits of a continuous output, block by block::

    from roundoff.uncertainty.significant_bits import significant_bits
    from roundoff.uncertainty.summary import bits_table, histogram

    def slabs():                       # one slice at a time, read lazily from N files
        for k in range(depth):
            block = np.stack([np.asarray(p[..., k]) for p in proxies])  # float32
            yield block.reshape(N, -1), mask[..., k].ravel()

    bits = significant_bits(slabs())   # SlabBits: general, cnh, state, mean, std, ...
    table = bits_table(bits, majority, names)   # "all" and one row per region
    shares = histogram(bits, "general")         # for the distribution figures
    general = np.moveaxis(bits.general.reshape(depth, *shape[:2]), 0, -1)

A vector field (N, V, 3): reshape blocks to (N, 3 V), mask repeated with
`np.repeat(mask, 3)`, then `average_components(bits, 3)`. One sample is an error: it
has no spread.

Labels, in one pass::

    pairs, volumes = PairwiseDice(N), Volumes(N, voxel_volume)      # mm^3
    for block in label_slabs():        # integers (N, V)
        pairs.add(block)
        volumes.add(block)
        vote = vote_of_slab(block)     # entropy, majority, agreement of the block
    pairs.minimum(names=names)         # min Dice per region over all pairs
    volumes.table(names=names), volumes.samples(names=names)

| module | gives |
|---|---|
| `significant_bits` | General and CNH bits, voxel states, mean, sd, largest error |
| `normality` | the check that CNH numbers need beside them |
| `confidence` | N against p: `statement(10)`, `samples_needed` |
| `dice` | `PairwiseDice` (min Dice), `ReferenceDice` (to one labelling) |
| `entropy` | `vote_of_slab`: label entropy and majority vote |
| `volumes` | `Volumes`: spread and digits of label volumes |
| `summary` | tables over masks, regions; `over_subjects`; `BitsTally` without a map |
| `comparisons` | paired tests and rank correlation over subjects |
| `verdict` | the sentences a report leads with |
| `published` | the tables of arXiv 2308.01939 under the same functions |
"""
