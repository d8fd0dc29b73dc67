"""The same as sync.py, shorter, with the client for asyncio: prints one JSON object. It has no tunnel of its own.

    asynchronous.py URL     in which TOKEN stands for the token of the Pod that it runs in
"""

import asyncio
import inspect
import io
import json
import sys

from k8s_agent_sandbox import AsyncSandboxClient
from k8s_agent_sandbox import models


class Copy:
    content = b""

    async def write(self, part):
        self.content += part
        return len(part)


async def main():
    seen = {}
    url = sys.argv[1]
    if "TOKEN" in url:
        with open("/var/run/secrets/kubernetes.io/serviceaccount/token") as file:
            url = url.replace("TOKEN", file.read())
    connection = models.SandboxDirectConnectionConfig(api_url=url)
    async with AsyncSandboxClient(connection_config=connection) as client:
        sandboxes = await asyncio.gather(*(client.create_sandbox("pool") for _ in range(3)))
        seen["different"] = len({sandbox.sandbox_id for sandbox in sandboxes})
        sandbox = sandboxes[0]
        results = await asyncio.gather(*(each.commands.run("sh -c 'echo out; exit 3'") for each in sandboxes))
        seen["results"] = [[result.stdout, result.exit_code] for result in results]
        await sandbox.files.write("dir/a b.txt", b"content")
        seen["read"] = (await sandbox.files.read("dir/a b.txt")).decode()
        seen["list"] = [[entry.name, entry.size] for entry in await sandbox.files.list("dir")]
        seen["exists"] = [await sandbox.files.exists("dir/a b.txt"), await sandbox.files.exists("none")]
        if hasattr(sandbox.files, "read_to"):
            await sandbox.files.write("streamed", io.BytesIO(b"x" * 3_000_000))
            copy = Copy()
            seen["streamed"] = [await sandbox.files.read_to("streamed", copy), copy.content == b"x" * 3_000_000]
        if "claim_name" in inspect.signature(client.create_sandbox).parameters:
            named = await client.create_sandbox("pool", claim_name="named-async")
            same = await client.create_sandbox("pool", claim_name="named-async", adopt_existing=True)
            seen["adopted"] = same.sandbox_id == named.sandbox_id
            await client.delete_sandbox("named-async")
        again = await client.get_sandbox(sandbox.claim_name)
        seen["reattached"] = (await again.commands.run("cat 'dir/a b.txt'")).stdout
        await client.delete_all()
        left = await client.list_all_sandboxes()
        seen["gone"] = [each.claim_name in left for each in sandboxes]
    print(json.dumps(seen))


asyncio.run(main())
