"""sandboxd's processes by gRPC, with the stubs that the SDK comes with: prints one JSON object.

    processes.py HOST:PORT
"""

import json
import sys

import grpc
from google.protobuf.empty_pb2 import Empty
from k8s_agent_sandbox.commands._process_stubs import process_pb2 as messages
from k8s_agent_sandbox.commands._process_stubs import process_pb2_grpc

stub = process_pb2_grpc.ProcessServiceStub(grpc.insecure_channel(sys.argv[1]))
seen = {}
answered = []


def follow(command, on_init=lambda process: None, on_output=lambda process, output: None, **options):
    """Output, errors and exit code of a process that is begun and followed to its end."""
    process, output, errors = None, b"", b""
    request = messages.StartRequest(config=messages.ProcessConfig(command=command, env_vars=options.pop("env", {})), **options)
    try:
        for event in stub.Start(request, timeout=60):
            kind = event.WhichOneof("event")
            if kind == "init":
                process = event.init.process_id
                on_init(process)
            elif kind == "stdout":
                output += event.stdout
                on_output(process, output)
            elif kind == "stderr":
                errors += event.stderr
            else:
                return [output.decode(), errors.decode(), event.exit.exit_code]
    except grpc.RpcError:
        print(f"process {process} of {command} had said {output} and {errors}; answered: {answered}", file=sys.stderr)
        raise


def write(process, content):
    stub.WriteStdin(messages.WriteStdinRequest(process_id=process, input=content))


def say_hello(process):
    write(process, b"hello")
    stub.WriteStdin(messages.WriteStdinRequest(process_id=process, eof=Empty()))


seen["input"] = follow(["cat"], say_hello)
seen["errors"] = follow(["sh", "-c", "echo out; echo err >&2; exit 7"])
for name in ("SIGINT", "SIGTERM", "SIGKILL"):
    number = messages.Signal.Value(f"SIGNAL_{name}")
    stop = lambda process: stub.SendSignal(messages.SendSignalRequest(process_id=process, signal=number))
    seen[name] = follow(["python3", "-c", "import signal, time; signal.signal(2, signal.SIG_DFL); print(flush=True); time.sleep(100)"], on_output=lambda process, _: stop(process))[2]

def resize_and_answer(process, output):
    if b"30 100" in output and not answered:
        answered.append(True)
        stub.ResizeTTY(messages.ResizeTTYRequest(process_id=process, cols=50, rows=20))
        write(process, b"line\n")


# A node is told the size, and does not say when the terminal has it.
terminal = "stty size; read x; until [ \"$(stty size)\" = '20 50' ]; do :; done; stty size; echo got $x $GREETING"
seen["terminal"] = follow(
    ["sh", "-c", terminal],
    on_output=resize_and_answer,
    env={"GREETING": "hi"},
    pty=messages.PTY(cols=100, rows=30),
)


def refusal(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name
    return "none"


def execute(timeout=60, **config):
    return stub.Execute(messages.ExecuteRequest(config=messages.ProcessConfig(**config)), timeout=timeout)


seen["no such process"] = refusal(lambda: write(99, b"x"))
seen["no such command"] = refusal(lambda: execute(command=["no-such-command"]))
seen["no command"] = refusal(lambda: execute())
seen["out of the sandbox"] = refusal(lambda: execute(command=["pwd"], cwd="../.."))
seen["deadline"] = refusal(lambda: execute(timeout=1, command=["sleep", "100"]))
seen["large words"] = len(execute(command=["printf", "%s", "x" * 100_000]).stdout)
print(json.dumps(seen))
