"""What the published SDK's client sees of a cluster: prints one JSON object, a value for each thing that it tries.

    sync.py MODE [URL]      MODE: tunnel, direct, sandboxd, gateway, or pod: within the cluster
"""

import hashlib
import inspect
import io
import json
import os
import sys
import urllib.parse

from k8s_agent_sandbox import SandboxClient
from k8s_agent_sandbox import exceptions
from k8s_agent_sandbox import models

mode = sys.argv[1]


def from_pod():
    """The router by its Service, with the token of the Pod. Older versions set no header, and take it from netrc."""
    with open("/var/run/secrets/kubernetes.io/serviceaccount/token") as file:
        token = file.read()
    if "extra_headers" in models.SandboxDirectConnectionConfig.model_fields:
        headers = {"Authorization": f"Bearer {token}"}
        return models.SandboxDirectConnectionConfig(api_url=ROUTER, extra_headers=headers)
    with open(os.open("/tmp/netrc", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"machine {urllib.parse.urlsplit(ROUTER).hostname} login pod password {token}")
    os.environ["NETRC"] = "/tmp/netrc"
    return models.SandboxDirectConnectionConfig(api_url=ROUTER)


ROUTER = "http://sandbox-router-svc.agent-sandbox-system.svc.cluster.local:8080"
CONNECTIONS = {
    "tunnel": lambda: models.SandboxLocalTunnelConnectionConfig(),
    "direct": lambda: models.SandboxDirectConnectionConfig(api_url=sys.argv[2]),
    "gateway": lambda: models.SandboxGatewayConnectionConfig(gateway_name="router"),
    "pod": from_pod,
    "sandboxd": lambda: models.SandboxdPodTunnelConnectionConfig(),
}
client = SandboxClient(connection_config=CONNECTIONS[mode](), cleanup=True)
create_options = inspect.signature(client.create_sandbox).parameters
seen = {}


def outcome(call):
    """What a call gives, or the error that it raises and its HTTP status."""
    try:
        return call()
    except Exception as error:  # whatever the SDK makes of it is what is looked at
        status = getattr(error, "status_code", None)
        return [type(error).__name__, status] if status else type(error).__name__


def result_of(result):
    return [result.stdout, result.stderr, result.exit_code]


sandbox = client.create_sandbox("pool", labels={"made-by": mode})
seen["status"] = list(sandbox.status())
seen["is in the list"] = sandbox.claim_name in client.list_all_sandboxes()
seen["is found by its label"] = client.list_all_sandboxes(label_selector=f"made-by={mode}") == [sandbox.claim_name]
seen["is active"] = client.list_active_sandboxes() == [("default", sandbox.claim_name)]
seen["has an address"] = bool(sandbox.get_pod_ip())
seen["Pod"] = sandbox.get_pod_name() == sandbox.sandbox_id

commands = sandbox.commands
seen["output"] = result_of(commands.run("echo hi"))
seen["errors and exit code"] = result_of(commands.run("sh -c 'echo out; echo err >&2; exit 3'"))
seen["signal"] = commands.run("sh -c 'kill -TERM $$'").exit_code
seen["kernel"] = commands.run("uname -r").stdout.strip()
if "command_timeout" in inspect.signature(commands.run).parameters:
    late = commands.run("sh -c 'echo begun; sleep 4242'", command_timeout=1)
    seen["timeout"] = [late.exit_code, late.timed_out]
    seen["nothing goes on"] = "sleep 4242" not in commands.run("sh -c 'cat /proc/[0-9]*/cmdline | tr \"\\0\" \" \"'").stdout
if mode == "sandboxd" and "env" in inspect.signature(commands.run).parameters:
    seen["environment"] = commands.run("printf '%s|' \"$A\" \"$B\"", env={"A": "a 'b", "B": "line\nline"}).stdout
    commands.run("mkdir -p deep/er")
    seen["working directory"] = commands.run("basename \"$PWD\"", cwd="deep/er").stdout

files = sandbox.files
files.write("dir/with space/100%41 %.txt", "content\n")
seen["read"] = files.read("dir/with space/100%41 %.txt").decode()
files.write("dir/plain.txt", b"\x00\xff")
seen["bytes"] = list(files.read("dir/plain.txt"))
seen["command sees it"] = commands.run("cat dir/plain.txt").exit_code
seen["list"] = sorted([entry.name, entry.type, entry.size] for entry in files.list("dir") if entry.type == "file")
seen["exists"] = [files.exists("dir/plain.txt"), files.exists("none"), files.exists("none/deeper")]
seen["missing"] = outcome(lambda: files.read("none"))
seen["out of the sandbox"] = outcome(lambda: files.read("../../etc/passwd", allow_unsafe_paths=True))

content = bytes(range(256)) * 4096 * 8
digest = hashlib.sha256(content).hexdigest()
if hasattr(files, "read_to"):
    files.write("large", io.BytesIO(content), timeout=120)
    copy = io.BytesIO()
    seen["streamed"] = [files.read_to("large", copy, timeout=120), hashlib.sha256(copy.getvalue()).hexdigest() == digest]
    seen["bounded"] = outcome(lambda: files.read_to("large", io.BytesIO(), max_bytes=1000))
else:
    files.write("large", content, timeout=120)
    seen["streamed"] = [len(files.read("large", timeout=120)), digest == hashlib.sha256(files.read("large")).hexdigest()]
if mode == "sandboxd":
    seen["not empty"] = outcome(lambda: files.delete("dir"))
    files.delete("dir", recursive=True)
    seen["deleted"] = files.exists("dir")

again = SandboxClient(connection_config=CONNECTIONS[mode]()).get_sandbox(sandbox.claim_name)
seen["reattached"] = again.commands.run("test -s large").exit_code
seen["unknown"] = outcome(lambda: client.get_sandbox("none", resolve_timeout=1))
seen["unknown pool"] = outcome(lambda: client.create_sandbox("none", sandbox_ready_timeout=20))

if mode == "tunnel" and "env" in create_options:
    cold = client.create_sandbox("pool", env={"GREETING": "hello"})
    seen["environment of a claim"] = cold.commands.run("printenv GREETING").stdout
    cold.terminate()
if mode == "direct" and "claim_name" in create_options:
    named = client.create_sandbox("pool", claim_name="named")
    seen["twice"] = outcome(lambda: client.create_sandbox("pool", claim_name="named"))
    adopted = client.create_sandbox("pool", claim_name="named", adopt_existing=True)
    seen["adopted"] = adopted.sandbox_id == named.sandbox_id
    client.delete_sandbox("named")

again.close_connection()
sandbox.terminate()
seen["gone"] = sandbox.claim_name in client.list_all_sandboxes()
print(json.dumps(seen))
