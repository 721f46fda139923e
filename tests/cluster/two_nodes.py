"""A Ray cluster of two nodes on this machine, one CPU each, as lines: prints its address, then obeys standard input.

`kill` ends the second node as a power cut would, `add` brings a new one, `update ARGS` deploys midfill anew with these
ClusterOptions, as `serve deploy` does. It ends with its standard input.
"""

import json
import sys

import ray
from ray import serve
from ray.cluster_utils import Cluster

from midfill.model.serving.cluster import application


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    print(f"two nodes: {cluster.address}", flush=True)
    for line in sys.stdin:
        command, _, args = line.strip().partition(" ")
        if command == "update":
            ray.init(cluster.address, ignore_reinit_error=True, log_to_driver=False)
            serve.run(application(json.loads(args)), name="midfill")
        elif command == "kill":
            cluster.remove_node(second, allow_graceful=False)
        elif command == "add":
            second = cluster.add_node(num_cpus=1)
        print(f"obeyed {command}", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
