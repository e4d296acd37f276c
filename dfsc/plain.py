"""Text from outside, which may hold anything, in a form that no terminal obeys."""

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line break


def plain(text: str) -> str:
    r"""`text` with every control character spelt, as `\x1b`: it could colour, move or hide what a terminal shows."""
    return CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", text)
