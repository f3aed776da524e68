"""Each listening socket always has a worker, in whatever order workers start and end."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.web_server.web_listeners import choose_listeners

DIES = st.integers(0, 9)  # the place of a worker among the living ones


@dataclass(eq=False)
class Listener:
    address: tuple[str, int]

    def getsockname(self) -> tuple[str, int]:
        return self.address


@dataclass(eq=False)
class Worker:
    age: int
    sockets: list[Any]
    told_to_end: bool = False


@dataclass
class Server:
    """gunicorn's first process, as far as it starts and ends workers."""

    LISTENERS: list[Any]
    number: int
    WORKERS: dict[int, Worker] = field(default_factory=dict)
    age: int = 0

    def start(self) -> None:
        self.age += 1
        worker = Worker(self.age, self.LISTENERS)
        choose_listeners(self, worker)
        self.WORKERS[self.age] = worker

    def reload(self) -> None:
        """Start as many workers as there should be, and tell the oldest to end. They take their time."""
        for _ in range(self.number):
            self.start()
        for age in sorted(self.WORKERS)[: -self.number]:
            self.WORKERS[age].told_to_end = True

    def settle(self) -> None:
        """Let workers end that were told to, and start what is missing."""
        self.WORKERS = {age: each for age, each in self.WORKERS.items() if not each.told_to_end}
        while len(self.WORKERS) < self.number:
            self.start()


@given(st.integers(1, 4), st.lists(st.one_of(DIES, st.sampled_from(["reload", "settle"])), max_size=20), st.booleans())
def test_workers_cover_all_sockets(number: int, happenings: list[int | str], is_dual: bool) -> None:
    hosts = ("127.0.0.1", "::1") if is_dual else ("127.0.0.1",)
    server = Server([Listener((host, 8000)) for host in hosts for _ in range(number)], number)
    for each in happenings:
        if isinstance(each, str):
            getattr(server, each)()
        elif each < len(server.WORKERS):
            del server.WORKERS[sorted(server.WORKERS)[each]]
    server.settle()
    covered = [socket for worker in server.WORKERS.values() for socket in worker.sockets]
    assert sorted(map(id, covered)) == sorted(map(id, server.LISTENERS))


def test_workers_share_the_socket_that_systemd_opened() -> None:
    server = Server([Listener(("127.0.0.1", 8000))], 3)
    server.settle()
    assert [each.sockets for each in server.WORKERS.values()] == [server.LISTENERS] * 3
