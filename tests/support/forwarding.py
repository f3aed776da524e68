"""A process that forwards TCP connections to a Unix socket, because the embedded PostgreSQL has no TCP port."""

import asyncio
import sys
from contextlib import suppress

PIECE = 64 * 1024


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until one side closes."""
    with suppress(ConnectionError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    writer.close()


async def forward(host: str, port: int, path: str) -> None:
    """Forward for ever."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(connect, host, port) as server:
        await server.serve_forever()


def main() -> None:
    """Forward from the host and the port to the socket that the arguments name."""
    host, port, path = sys.argv[1:]
    asyncio.run(forward(host, int(port), path))
