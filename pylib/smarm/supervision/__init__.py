"""Supervisors: actors that start others, and start them again when they fail.  OTP's supervisor.

Imports go one way: starting, specs, references, reports, running_child, children, process, supervisor, then the two
kinds, static and dynamic.  The public names are in ``smarm``.
"""
