"""What holds for all tests."""

import signal

# A shell without job control starts its background jobs with these ignored, and so would be every program that a test starts.
for number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
