"""FastSurfer: whole-brain segmentation from slices in three views."""
