"""``python -m earlycall`` is the command ``earlycall``."""

from earlycall.cli import main

if __name__ == "__main__":
    main()
