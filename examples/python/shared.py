"""Code that host and worker share. It logs as the process that imports it, and needs not know which one that is."""

import lastwords

log = lastwords.get_logger_from_env()


def square(number: int) -> int:
    """The work of this example."""
    log.debug("squaring %d", number)
    if number < 0:
        log.warning("%d is negative", number)
    return number * number
