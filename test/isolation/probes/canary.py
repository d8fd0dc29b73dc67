"""Keeps one secret in every place where a neighbour could look, says where on one line, and tells of each SIGUSR1.

canary.py DIRECTORY NAME SECRET, the secret in the variable PLANTED too: DIRECTORY is made, NAME is that of its sockets.
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import threading

directory, name, secret = sys.argv[1:4]
assert os.environ["PLANTED"] == secret
os.makedirs(directory, exist_ok=True)
os.chdir(directory)
with open("secret", "w") as file:
    file.write(secret)
opened = open("secret")

memory = mmap.mmap(-1, 4096)
memory.write(secret.encode())
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))

with open("/dev/shm/" + name, "w") as file:
    file.write(secret)

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
key = int(name[-6:], 16)
segment = libc.shmget(key, 4096, 0o1666)
ctypes.memmove(libc.shmat(segment, None, 0), secret.encode(), len(secret))


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.sendall(secret.encode())
        connection.close()


abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0" + name)
abstract.listen()
tcp = socket.socket(socket.AF_INET6)
tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
try:
    tcp.bind(("::", 0))
except OSError:
    # No IPv6 here.
    tcp = socket.create_server(("0.0.0.0", 0))
tcp.listen()
for listener in (abstract, tcp):
    threading.Thread(target=serve, args=(listener,), daemon=True).start()

signal.signal(signal.SIGUSR1, lambda *_: print("hit", flush=True))
signal.signal(signal.SIGTERM, lambda *_: (libc.shmctl(segment, 0, None), os.unlink("/dev/shm/" + name), os._exit(0)))
where = {"pid": os.getpid(), "address": address, "descriptor": opened.fileno(), "port": tcp.getsockname()[1]}
print(json.dumps(where | {"directory": directory, "name": name}), flush=True)
while True:
    signal.pause()
