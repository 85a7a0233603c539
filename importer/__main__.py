"""``python -m importer`` is ``pi-posthog``."""

from importer.cli import main

if __name__ == "__main__":
    main()
