"""A worker that says when one of Faust's codecs or any pickle is used, called as `atp-stream worker` is."""

import sys
from typing import Any

from faust.serializers import codecs
from faust.serializers.registry import Registry

from atp_stream.cli import main

SAID = "not to be used"


def telling(name: str, call: Any) -> Any:
    """The call, said on stderr when it is made."""

    def tell(*arguments: Any, **options: Any) -> Any:
        print(f"{SAID}: {name}", file=sys.stderr, flush=True)
        return call(*arguments, **options)

    return tell


def hear_of_pickles(event: str, _: Any) -> None:
    """Hear what the interpreter tells of itself: whoever unpickles an object has its class looked up."""
    if event == "pickle.find_class":
        print(f"{SAID}: pickle", file=sys.stderr, flush=True)


def watch() -> None:
    """Have all of it said from here on."""
    kinds: tuple[type[Any], ...] = (codecs.Codec, *codecs.Codec.__subclasses__(), Registry)
    for kind in kinds:
        for name, call in list(vars(kind).items()):
            if name.lstrip("_").startswith(("loads", "dumps")):
                setattr(kind, name, telling(f"{kind.__name__}.{name}", call))
    sys.addaudithook(hear_of_pickles)


if __name__ == "__main__":
    watch()
    sys.exit(main(["worker", *sys.argv[1:]]))
