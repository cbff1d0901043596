"""
The demo: two simulated cameras, the node and a recorder as three processes over DDS.

    python -m mafs_ros.demo --help
"""
