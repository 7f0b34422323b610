"""What NaN operations skip, cost and save in whole networks, over their settings."""
