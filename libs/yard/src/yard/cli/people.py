"""`yard login`, `yard whoami`, `yard user …`, `yard api-key …`"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from yard import forms
from yard.cli.options import Limit, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, put_done, put_list, put_one
from yard.cli.session import connected, patience, sure
from yard.config import Known, config_path, identity, read, write
from yard.errors import YardError

users = noun("Users (for administrators), and your own password.")
keys = noun("API keys: for programs that act as you.")

USERS = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("GROUPS", "groups", lambda groups: ", ".join(groups or ())),
    Column("STATE", "state"),
    Column("CREATED", "created_at", forms.moment),
)
USER = tuple(Column(column.title.lower(), column.field, column.form) for column in USERS)
KEYS = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("PREFIX", "prefix"),
    Column("STATE", "state"),
    Column("CREATED", "created_at", forms.moment),
)
KEY = (*(Column(column.title.lower(), column.field, column.form) for column in KEYS), Column("key", "key"))

PasswordFile = Annotated[
    Path | None, typer.Option(help="A file that holds the password; - reads standard input.", show_default=False)
]


def login(
    address: Annotated[str | None, typer.Argument(help="Where the platform is.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--name", "-u", help="Your name there.", show_default=False)] = None,
    password_file: PasswordFile = None,
    output: Out = Output.TABLE,
) -> None:
    """Log in; later commands act as you, at that address."""
    from yard.client import Client
    from yard.http import normal_address

    path = config_path(os.environ)
    config = read(path)
    at = normal_address(address or identity(config, os.environ).address)
    name = name or _asked("Name", hide=False)
    password = _password(password_file)
    with Client(at, patience=patience()) as client:
        answer = client.login(name, password)
    config.address = at
    config.logins[at] = Known(answer["token"], name, str(answer.get("expires_at") or ""))
    write(path, config)
    told = {"address": at, "user": answer["user"], "expires_at": answer.get("expires_at")}
    put_done(f"Logged in at {at} as {name}.", output, told)


def logout(output: Out = Output.TABLE) -> None:
    """Forget the login at the present address."""
    path = config_path(os.environ)
    config = read(path)
    at = identity(config, os.environ).address
    if config.logins.pop(at, None) is not None:
        write(path, config)
    put_done(f"Logged out at {at}.", output, {"address": at})


def whoami(output: Out = Output.TABLE) -> None:
    """Who you are, and where."""
    who = identity(read(config_path(os.environ)), os.environ)
    with connected() as yard:
        user = yard.users.me()
    columns = (*USER, Column("address", "address"), Column("by", "by"))
    put_one({**user, "address": who.address, "by": who.source}, columns, output)


def _password(file: Path | None, what: str = "Password") -> str:
    if file is None:
        return _asked(what, hide=True)
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.rstrip("\r\n")


def _asked(what: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        raise YardError("nobody_to_ask", f"{what} is needed: give --name and --password-file (- reads standard input).")
    return str(typer.prompt(what, hide_input=hide, err=True))


@users.command("create")
def create_user(
    name: Annotated[str, typer.Argument(help="The name to log in with.", show_default=False)],
    role: Annotated[Literal["user", "admin"], typer.Option(help="What they may do.")] = "user",
    password_file: PasswordFile = None,
    output: Out = Output.TABLE,
) -> None:
    """Make a user. Without --password-file a password is made, and shown this once."""
    password = None if password_file is None else _password(password_file)
    with connected() as yard:
        put_one(yard.users.create(name, password, role=role), (*USER, Column("password", "password")), output)


@users.command("list")
def list_users(query: Query = None, state: State = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Every user."""
    with connected() as yard:
        put_list(yard.users.list(limit, q=query, state=state), USERS, output, noun="user")


@users.command("show")
def show_user(user: Ref, output: Out = Output.TABLE) -> None:
    """One user."""
    with connected() as yard:
        put_one(yard.users.show(yard.users.id_of(user)), USER, output)


@users.command("groups")
def set_groups(
    user: Ref,
    groups: Annotated[
        list[str] | None, typer.Argument(help="The groups, the one whose queue counts first; none without.")
    ] = None,
    output: Out = Output.TABLE,
) -> None:
    """Put somebody into these groups and no others."""
    with connected() as yard:
        put_one(yard.users.groups(yard.users.id_of(user), groups or []), USER, output)


@users.command("role")
def set_role(
    user: Ref,
    role: Annotated[Literal["user", "admin"], typer.Argument(help="What they may do.", show_default=False)],
    output: Out = Output.TABLE,
) -> None:
    """Make somebody an administrator, or not."""
    with connected() as yard:
        put_one(yard.users.role(yard.users.id_of(user), role), USER, output)


@users.command("disable")
def disable_user(user: Ref, output: Out = Output.TABLE) -> None:
    """Shut somebody out, at once; what they own stays."""
    with connected() as yard:
        changed = yard.users.disable(yard.users.id_of(user))
    put_done(f"User {user} is shut out.", output, changed)


@users.command("enable")
def enable_user(user: Ref, output: Out = Output.TABLE) -> None:
    """Let somebody in again."""
    with connected() as yard:
        changed = yard.users.enable(yard.users.id_of(user))
    put_done(f"User {user} may log in again.", output, changed)


@users.command("delete")
def delete_user(user: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete somebody for good: logins and API keys end at once. What they own stays, for administrators to tidy."""
    sure(f"Delete user {user}? Their logins and API keys end at once; what they own stays and goes on.", yes)
    with connected() as yard:
        id = yard.users.id_of(user)
        yard.users.delete(id)
    told = f"User {user} is deleted. What they own stays: administrators see it in every list, and may delete it."
    put_done(told, output, {"id": id, "deleted": True})


@users.command("password")
def change_password(
    user: Annotated[str | None, typer.Argument(help="Somebody else (administrators).", show_default=False)] = None,
    current_file: PasswordFile = None,
    new_file: PasswordFile = None,
    output: Out = Output.TABLE,
) -> None:
    """Change your own password, or set somebody's. Logins end, API keys stay."""
    current = "" if user else _password(current_file, "Present password")
    new = _password(new_file, "New password")
    with connected() as yard:
        changed = yard.users.reset_password(yard.users.id_of(user), new) if user else yard.users.password(current, new)
    put_done("The password is changed. Log in again.", output, changed)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for.", show_default=False)], output: Out = Output.TABLE
) -> None:
    """Make a key. It is shown this once: keep it."""
    with connected() as yard:
        put_one(yard.api_keys.create(name), KEY, output)


@keys.command("list")
def list_keys(limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Your keys, without their secrets."""
    with connected() as yard:
        put_list(yard.api_keys.list(limit), KEYS, output, noun="API key")


@keys.command("delete")
def delete_key(key: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Revoke a key, at once."""
    sure(f"Revoke API key {key}?", yes)
    with connected() as yard:
        id = yard.api_keys.id_of(key)
        yard.api_keys.delete(id)
    put_done(f"API key {key} is revoked.", output, {"id": id, "deleted": True})
