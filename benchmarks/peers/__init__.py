"""Other networks for the same tasks, timed in turns with ours."""
