"""`mafs-eval model`: weights on a data set, with one camera missing, and under disturbances."""
