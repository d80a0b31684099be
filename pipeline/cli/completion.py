import click


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    \b
    Examples:
      source <(pipeline completion bash)          # in ~/.bashrc, after the environment is activated
      source <(pipeline completion zsh)           # in ~/.zshrc, after compinit
      pipeline completion fish | source           # in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    root = context.find_root()
    script = get_completion_class(shell)(root.command, {}, root.info_name, f"_{root.info_name.upper()}_COMPLETE")
    click.echo(script.source())
