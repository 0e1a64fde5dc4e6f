"""Output in whole lines. Lines printed while a request is served begin with its id between two record separators, which
the log capture takes off again; nothing is added outside a request or when the request has no id."""

import contextvars
import logging
import os
import sys
import threading

SEPARATOR = "\x1e"
# Text of a line that never ends is written out when it is this long, in characters.
LONGEST_LINE = 64 * 1024

# The prefix of the request this thread serves.
prefix = contextvars.ContextVar("prefix", default="")


def enter(environ):
    """From now on this thread serves the request."""
    request_id = environ.get("HTTP_X_FISSION_REQUEST_ID")
    prefix.set(f"{SEPARATOR}{request_id}{SEPARATOR}" if request_id else "")


def install():
    """From now on all output goes by lines, and `logging` to standard error."""
    sys.stdout = Lines(sys.stdout)
    sys.stderr = Lines(sys.stderr)
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    logging.basicConfig(
        stream=sys.stderr,
        level=level if isinstance(logging.getLevelName(level), int) else logging.INFO,
        format="%(asctime)s - %(levelname)s - %(message)s",
    )


class Lines:
    """A text stream that keeps each thread's unfinished line back until it ends or is flushed."""

    def __init__(self, stream):
        self._stream = stream
        self._state = threading.local()

    def write(self, text):
        """Writes the finished lines of `text`."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        waiting = getattr(self._state, "waiting", "") + text
        end = len(waiting) if len(waiting) > LONGEST_LINE else waiting.rfind("\n") + 1
        self._state.waiting = waiting[end:]
        if end:
            self._emit(waiting[:end])
        return len(text)

    def writelines(self, lines):
        """Writes all of them."""
        for line in lines:
            self.write(line)

    def flush(self):
        """Writes this thread's unfinished line as far as it is."""
        waiting = getattr(self._state, "waiting", "")
        self._state.waiting = ""
        if waiting:
            self._emit(waiting)

    def _emit(self, text):
        # Set when this thread flushed half a line: its other half gets no second prefix.
        inside = getattr(self._state, "inside", False)
        self._state.inside = not text.endswith("\n")
        start = prefix.get()
        if start:
            text = ("" if inside else start) + text[:-1].replace("\n", "\n" + start) + text[-1]
        self._stream.write(text)
        self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __iter__(self):
        return iter(self._stream)
