"""Small building blocks of the network, one idea per module."""
