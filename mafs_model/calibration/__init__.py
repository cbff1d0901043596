"""Two cameras of one rig: their calibration file, and what images tell about place and time."""
