"""What runs in the emulator's process: MiniStack, and a watch that ends it when its parent is gone."""

import os
import signal
import sys
import threading
import time
from typing import Final

from ministack.app import main

_WATCH_SECONDS: Final = 0.5


def end_with(parent: int) -> None:
    """End this process cleanly as soon as process `parent` is no longer its parent."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    watched = int(sys.argv.pop())
    threading.Thread(target=end_with, args=[watched], daemon=True).start()
    main()  # type: ignore[no-untyped-call]
