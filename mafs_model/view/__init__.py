"""
A page on this computer that shows what the cameras see and what the network makes of it.

``settings`` is what the page can change, ``viewer`` computes pictures in a thread of its own, and
``server`` hands them out as one endless JPEG stream.
"""
