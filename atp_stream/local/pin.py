"""`python -m atp_stream.local.pin`: resolve Kafka's jars anew and print the list for artifacts.py."""

import hashlib

from jgo.maven import MavenContext

from atp_stream.local.artifacts import KAFKA_ROOTS


def resolved() -> list[str]:
    """Return "group:name:version sha256" of each jar that Kafka needs at run time, sorted."""
    context = MavenContext()
    roots, dependencies = context.resolver.resolve([context.create_dependency(root) for root in KAFKA_ROOTS])
    lines = []
    for jar in (*roots, *dependencies):
        content = jar.artifact.resolve().read_bytes()
        lines.append(f"{jar.groupId}:{jar.artifactId}:{jar.version} {hashlib.sha256(content).hexdigest()}")
    return sorted(lines)


if __name__ == "__main__":
    print("\n".join(resolved()))
