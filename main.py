"""``python main.py`` runs the service: the same as ``llm-service run``."""

from __future__ import annotations

import sys

from llm_service.cli.main import main

if __name__ == "__main__":
    sys.argv[1:1] = ["run"]
    main()
