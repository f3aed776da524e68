"""What the loops and jobs of a worker share: whether they must end, and whether each loop still turns."""

import threading

LIMIT = 30  # seconds. The slowest loop turns every ten, and a lost connection is noticed within fifteen.
FETCH, LISTEN, PERIODIC, HEARTBEAT, DRAIN = "fetch", "listen", "periodic", "heartbeat", "drain"


class Supervision:
    """The state of one worker process."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        """The process must end."""
        self.ending = threading.Event()
        """Jobs must end soon, because the process stops or the queue's worker starts again."""
        self._silence: dict[str, int] = {}
        self._losses = 0
        self._lock = threading.Lock()

    def beat(self, loop: str) -> None:
        """Note that a loop has turned."""
        with self._lock:
            self._silence[loop] = 0

    def rest(self, loop: str) -> None:
        """Note that a loop has nothing to do, so it need not turn."""
        with self._lock:
            self._silence.pop(loop, None)

    def note_loss(self) -> None:
        """Count a loss of the connection that listens."""
        with self._lock:
            self._losses += 1

    def take_losses(self) -> int:
        """Return the number of losses since the last call."""
        with self._lock:
            losses, self._losses = self._losses, 0
            return losses

    def reset(self) -> None:
        """Expect no loop to turn until its next beat."""
        with self._lock:
            self._silence.clear()

    def count_second(self) -> str | None:
        """Count a second of silence for each loop, and return a loop that has not turned for ``LIMIT`` seconds.

        A process that was suspended counts none, so it is not taken for stuck when it resumes.
        """
        with self._lock:
            for loop in self._silence:
                self._silence[loop] += 1
            return next((loop for loop, seconds in self._silence.items() if seconds >= LIMIT), None)
