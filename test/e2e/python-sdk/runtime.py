"""As much of both runtime APIs, on 8888 and 8080, as shows who answers: a server of the image, not the router."""

import http.server
import json
import re
import threading

files = {}


class Runtime(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status, content=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        body = self.body()
        if self.path == "/execute":
            command = json.loads(body)["command"]
            self.answer(200, json.dumps({"stdout": f"the image ran {command}", "stderr": "", "exit_code": 0}).encode())
        else:
            head, content = body.split(b"\r\n\r\n", 1)
            files[re.search(rb'filename="([^"]*)"', head)[1].decode()] = content.rsplit(b"\r\n--", 1)[0]
            self.answer(200, b"{}")

    def do_PUT(self):
        files[self.path.rsplit("/", 1)[1]] = self.body()
        self.answer(204)

    def do_GET(self):
        self.answer(200, files[self.path.rsplit("/", 1)[1]])


for port in (8080, 8888):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Runtime)
    threading.Thread(target=server.serve_forever).start()
