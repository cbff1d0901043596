"""Bag files without a ROS installation: reading, writing, salvage, choice of topics."""
