import click

from pipeline.cli import connected, model_option


@click.command
@model_option("Production", "A version, alias or stage.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
def command(address: str, host: str, port: int) -> None:
    """A registered model over HTTP, and a page to try it.

    The interface is that of `mlflow models serve`: POST /invocations, GET /ping, GET /version. Besides, /health says
    that the server lives, /ready that the model is loaded, and the page at / shows what each member says of a picture.
    Ctrl-C ends it.

    \b
    Examples:
      pipeline serve
      pipeline serve --model @challenger --port 8080
    """
    import contextlib
    import shlex

    from pipeline.serving import server

    host = host.strip("[]")
    bound = server.listen(host, port)
    params = connected(write=False)
    from pipeline.registry import versions

    version = versions.resolve(params.registry.model, address)
    url = server.url(bound, host)

    click.echo(f"{version.name} version {version.version} ({address})")
    click.echo(f"page:  {url}/")
    click.echo(f"ready: curl -s {shlex.quote(f'{url}/ready')}")
    json = "-H 'Content-Type: application/json' -d @-"
    predict = shlex.quote(f"{url}/invocations")  # a shell may take the brackets of IPv6 for a pattern
    click.echo(f"try:   pipeline payload plots/pictures/samples.png | curl -s {predict} {json}")
    with contextlib.suppress(KeyboardInterrupt):  # the usual end
        server.run(version, bound, host)
