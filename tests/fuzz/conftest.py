"""Atheris has packages for Linux on x86-64 alone; everything else here runs everywhere."""

import platform
import sys

collect_ignore = [] if (sys.platform, platform.machine()) == ("linux", "x86_64") else ["test_coverage_guided.py"]
