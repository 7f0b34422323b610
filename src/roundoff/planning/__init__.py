"""What a study will cost, before it starts: time, memory, disk, and what N supports."""
