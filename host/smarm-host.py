#!python
# smarm-host where the native launcher cannot be: for a Python without libpython, and in wheels for every Linux.
import sys

from smarm._launch import launch

launch(sys.argv)
