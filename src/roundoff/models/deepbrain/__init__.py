"""Brain extraction by the 3-level U-Net of the package deepbrain 0.1 (MIT)."""
