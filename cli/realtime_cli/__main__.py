"""``python -m realtime_cli``: the same as `realtime`."""

import sys

from realtime_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
