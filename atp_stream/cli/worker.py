"""atp-stream worker."""

from pathlib import Path

import click

from atp_stream.cli.common import State, global_options
from atp_stream.tools.terminal import note


@click.command()
@click.option("--web-port", type=int, metavar="PORT", help="Port of the web view; 0: any free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="PATH", help="Directory of the local state.")
@click.option("--log-level", metavar="LEVEL", help="One of debug, info, warning, error.")
@global_options
@click.pass_obj
def worker(state: State, web_port: int | None, data_dir: Path | None, log_level: str | None) -> int:
    """Run one worker until it is told to stop.

    Several may run on one machine: each takes a data directory and a web port of its own.
    """
    from atp_stream.admin.data_dir import held, note_url
    from atp_stream.admin.resolve import with_cluster
    from atp_stream.admin.start import check_start
    from atp_stream.admin.web_port import free_port
    from atp_stream.settings.load import Flag
    from atp_stream.web.credentials import check_files

    flags = {"web.port": web_port, "worker.data_dir": data_dir, "worker.log_level": log_level}
    loaded = state.load(
        [
            Flag(name, value, "--" + name.partition(".")[2].replace("_", "-"))
            for name, value in flags.items()
            if value is not None
        ]
    )
    check_files(loaded.settings.web)
    settings = with_cluster(loaded.settings)
    host, wanted = settings.web.host, settings.web.port
    with held(settings.worker.data_dir) as directory:
        port = free_port(host, wanted, explicit=loaded.origin("web.port").kind != "default")
        settings = settings.replaced({"worker.data_dir": directory, "web.port": port})
        check_start(settings, note)
        note_url(directory, settings.web.url)
        if port != wanted:
            note(f"web view: port {wanted} is taken, using {port}" if wanted else f"web view: using port {port}")
        from atp_stream.app import run_worker

        return run_worker(settings)
