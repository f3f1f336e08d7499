"""From a config to a trained and tested model: building, fitting, checkpoints, resuming."""
