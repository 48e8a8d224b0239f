"""The loop: configuration, runs, records."""
