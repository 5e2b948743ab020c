"""Changing the package from outside, in the process of a test's worker."""


def replace(owner: object, **attributes: object) -> None:
    """Put something else in the place of attributes of a module or class."""
    for name, value in attributes.items():
        setattr(owner, name, value)
