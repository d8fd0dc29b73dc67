/** Answers each connection with its own name, by TCP on 8080 and by UDP on 5353. */
export const SERVE = `
import socket, threading
name = socket.gethostname()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("0.0.0.0", 5353))
def udp():
    while True:
        d, a = u.recvfrom(100)
        u.sendto(name.encode() + b" " + d, a)
threading.Thread(target=udp, daemon=True).start()
s = socket.create_server(("0.0.0.0", 8080))
while True:
    c, a = s.accept()
    c.sendall((name + " " + a[0]).encode())
    c.close()
`
