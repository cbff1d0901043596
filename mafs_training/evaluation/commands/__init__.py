"""One module for each command of `mafs-eval`; each has a function `run(options)`."""
