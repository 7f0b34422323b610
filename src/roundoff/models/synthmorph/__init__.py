"""Deformable registration: SynthMorph and VoxelMorph 2018."""
