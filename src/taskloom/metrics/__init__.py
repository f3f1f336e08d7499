"""What a prediction is worth: one number a task and metric, each with its direction."""
