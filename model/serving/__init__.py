"""The resident as a process: HTTP, its options, what it listens on, replicas on a cluster."""
