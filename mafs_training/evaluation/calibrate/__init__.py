"""`mafs-eval calibrate`: the temperature of the confidence."""
