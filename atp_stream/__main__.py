"""`python -m atp_stream` is the same program as `atp-stream`."""

import sys

from atp_stream.cli import main

if __name__ == "__main__":
    sys.exit(main())
