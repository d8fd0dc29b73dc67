"""The SDK within the cluster, where it connects to Pods themselves: prints one JSON object.

    in_cluster.py MODE      MODE: legacy, in-cluster-service, in-cluster-pod-ip
"""

import json
import sys

from k8s_agent_sandbox import SandboxClient
from k8s_agent_sandbox import models

mode = sys.argv[1]
if mode == "legacy":
    connection = models.SandboxInClusterConnectionConfig()
else:
    connection = models.SandboxdInClusterConnectionConfig(mode=mode)
client = SandboxClient(connection_config=connection)
sandbox = client.create_sandbox("served")
seen = {}
if mode == "legacy":
    seen["output"] = sandbox.commands.run("hello").stdout
sandbox.files.write("a.txt", b"content")
seen["read"] = sandbox.files.read("a.txt").decode()
sandbox.terminate()
print(json.dumps(seen))
