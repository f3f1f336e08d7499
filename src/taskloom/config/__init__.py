"""From a command line to a checked config: composing, preflight, readable errors."""
