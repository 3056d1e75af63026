"""What the world said after a decision: labels (ground truth); never joins them to predictions itself."""
