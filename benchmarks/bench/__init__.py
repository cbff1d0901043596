"""The benchmark of the project: `python -m benchmarks.bench`, what `make bench` runs."""
