"""What a run leaves behind: its folder, its metrics, its figures, and W&B's view of it."""
