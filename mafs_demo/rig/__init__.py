"""A thermal camera as it is bought: unregistered, late, slow, 16 bits, rows of telemetry."""
