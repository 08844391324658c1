"""Every command of gwctl, as one table: its words, its arguments, what it does.

gwctl's parser, its completion and its manual page are made from this table, and gatewayd checks
requests against it: what is not here does not exist. A new command is a row here, a handler on the
daemon's side (`shell/commands.py`) and a view on gwctl's (`ctl/views.py`). Light, as
`control_lines.py` is. Must not know how anything is done or shown.
"""

from enum import Enum
from typing import Any, NamedTuple

from gateway.control_lines import ControlError, Document

TEXT_CHARACTERS_MAX = 16_384  # the longest topic filter has 65,535 bytes; nobody types one
LOG_LINES_MAX = 1_000  # kept by gatewayd: hours of a healthy gateway, minutes of a sick one
LIMIT_DEFAULT, LIMIT_MAX = 100, 10_000  # rows of a listing; 10,000 of 200 bytes fit an answer


class Kind(Enum):
    """What an argument is. A SECRET is asked for at the terminal, or read from standard input; as an
    option it is a switch that says so."""

    TEXT = "a text"
    COUNT = "a whole number"
    SWITCH = "true or false"
    SECRET = "a secret"


class Argument(NamedTuple):
    """One argument, by its name in the request. Required where `default` is None.

    `option`: it is written --name, else it stands where it stands. A text of `many` takes all the
    words that are left, as a list. `choices` are the only texts, if there are some.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    option: bool = False
    short: str = ""
    low: int = 0
    high: int = 1_000_000
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def metavar(self) -> str:
        """The word for the value in a usage line."""
        return self.name.upper()


class Command(NamedTuple):
    """`words` are up to three: "status", "user add", "cluster key show". `stream`: many answers come,
    perhaps until Ctrl-C.

    `changes`: it does something, and is written to the log. `here`: gwctl itself does it, without
    asking gatewayd.
    """

    words: str
    help: str  # half a line, without a full stop
    arguments: tuple[Argument, ...] = ()
    description: str = ""  # sentences for the manual page
    stream: bool = False
    changes: bool = False
    here: bool = False


STATUS = "status"
DOCTOR = "doctor"
CONFIG = "config"
TRACE = "trace"
COMPLETION = "completion"
AWAITS = (
    "awaits"  # in an answer: the names of the secrets that are wanted, and nothing was done yet
)

_CLIENT = Argument("client", Kind.TEXT, "the MQTT client id")
_LIMIT = Argument(
    "limit", Kind.COUNT, "show at most so many", LIMIT_DEFAULT, option=True, low=1, high=LIMIT_MAX
)

_MESH = Argument("mesh", Kind.SWITCH, "of all gateways, not of this one alone", False, option=True)
_MISSING = (
    "A gateway that does not answer within 2 seconds is named, and the exit status is 1 then."
)

_USER = Argument("user", Kind.TEXT, "the user's name")
# Without it the answer is AWAITS, if nothing else is wrong: nobody types a password for nothing.
_PASSWORD = Argument("password", Kind.SECRET, "the password", "")
_RULE = Argument(
    "rule",
    Kind.TEXT,
    "allow or deny; user NAME, group NAME or everybody; read or write; a topic filter",
    many=True,
)

_FORCE_OUT = Argument("force", Kind.SWITCH, "do not wait for other gateways", False, option=True)

COMMANDS: tuple[Command, ...] = (
    Command(
        STATUS,
        "the mesh, its serial ports, and what is wrong",
        description="Shows the mesh, its serial ports, and what is wrong, worst first.",
    ),
    Command(
        "clients",
        "who is connected to this gateway",
        (_MESH, _LIMIT),
        description=f"Shows who is connected to this gateway, or with --mesh to any. {_MISSING}",
    ),
    Command(
        "client",
        "one client: its connection, session and subscriptions",
        (_CLIENT, _LIMIT),
        description="Shows one client, at whatever gateway it is: its connection, its session, its "
        "subscriptions. Where other gateways have a session of it, too, they are named.",
    ),
    Command(
        "sessions",
        "the sessions that this gateway keeps",
        (
            Argument("orphans", Kind.SWITCH, "only those whose client is away", False, True),
            _MESH,
            _LIMIT,
        ),
        description=f"Shows the sessions of this gateway, or with --mesh of all. {_MISSING}",
    ),
    Command(
        "retained",
        "the retained messages",
        (Argument("filter", Kind.TEXT, "a topic filter, such as sensors/#", "#"), _LIMIT),
    ),
    Command("queue", "what waits for a client, the next first", (_CLIENT, _LIMIT)),
    Command(
        "kick",
        "disconnects a client; it may come back",
        (_CLIENT,),
        description="Disconnects a client, at whatever gateway it is, with reason 0x98 (administrative "
        "action). Its will is sent, its session stays as it asked for, and nothing keeps it from coming "
        "back.",
        changes=True,
    ),
    Command(
        TRACE,
        "what becomes of the messages of some topics, as it happens",
        (
            Argument("filter", Kind.TEXT, "topic filters, such as sensors/#", many=True),
            Argument("client", Kind.TEXT, "only what is from or for this client id", "", True),
            Argument("count", Kind.COUNT, "end after so many lines; 0: go on", 0, True, "n"),
            Argument("seconds", Kind.COUNT, "end after so many seconds; 0: go on", 0, True),
            Argument("no-payload", Kind.SWITCH, "leave the payloads out", False, True),
            Argument("mesh", Kind.SWITCH, "what clients publish at any gateway", False, True),
        ),
        description="Shows each step of each message until Ctrl-C: in (it was published), out (it was "
        "sent to a client, or to other gateways), waits (it is kept for a client), lost (a client does "
        "not get it), refused (its publisher was told so). Then come the client id, QoS, r for "
        "retained, d for sent again, the topic, the size, and the first 128 bytes of the payload, as "
        "text or as hexadecimal digits behind 0x. Times are in UTC. Topics below $SYS are shown where "
        "a filter begins with $SYS. A message of a watched topic costs the gateway ten times "
        "what it costs else, and more: name few topics on a busy one. With --mesh it shows what "
        "clients publish at any gateway (in, refused), each message once, with the gateway's name "
        "first. Other gateways tell at most 200 messages a second each, and how many they left out.",
        stream=True,
    ),
    Command(
        "log",
        "the last lines of the log of gatewayd, and those that come",
        (
            Argument("lines", Kind.COUNT, "the last so many", 100, True, "n", high=LOG_LINES_MAX),
            Argument("follow", Kind.SWITCH, "go on with new lines until Ctrl-C", False, True, "f"),
        ),
        description="Shows what gatewayd wrote to its log since it started, at most the last "
        "1,000 lines, with the time in UTC. What is older is in the journal.",
        stream=True,
    ),
    Command(
        CONFIG,
        "the configuration that gatewayd runs with",
        description="Shows every key of the configuration as gatewayd read it when it started, also "
        "what is not in the file, in the file's own form; the first line names the file. The "
        "cluster's key is left out.",
    ),
    Command(
        DOCTOR,
        "checks this box: configuration, ports, disk, clock, network",
        (Argument("config", Kind.TEXT, "the configuration file", "", option=True),),
        description="Checks this box from outside of gatewayd, also while it does not run, and says "
        "what to do. It changes nothing. Only root may read and try everything. The exit status is 1 "
        "when a check found an error. Without --config the file is the one that gatewayd says it runs "
        "with, or /etc/gateway/gateway.toml where none answers.",
        here=True,
    ),
    Command(
        COMPLETION,
        "a script with which a shell completes lines of gwctl",
        (Argument("shell", Kind.TEXT, "bash or zsh", choices=("bash", "zsh")),),
        description="Prints a script for bash or zsh. Try it with: source <(gwctl completion bash)",
        here=True,
    ),
    Command(
        "user add",
        "lets a user log in with a password",
        (
            _USER,
            Argument("groups", Kind.TEXT, "groups, with commas between", "", option=True),
            _PASSWORD,
        ),
        changes=True,
    ),
    Command("user passwd", "gives a user another password", (_USER, _PASSWORD), changes=True),
    Command("user remove", "removes a user, and disconnects him", (_USER,), changes=True),
    Command(
        "user list",
        "the users, their groups, and who may log in by SCRAM",
        (_LIMIT,),
        description="Shows the users. Who may not log in by SCRAM-SHA-256 may after gwctl user passwd.",
    ),
    Command(
        "rule add",
        "adds a rule on who may read or write which topics",
        (_RULE,),
        description="Adds a rule, such as: allow user ann read 'home/#'. In the filter %u stands for "
        "the user and %c for the client id. A user that no rule is for may do everything; one that a "
        "rule is for may do what a rule allows, and nothing else. Try it with: gwctl rule test",
        changes=True,
    ),
    Command("rule remove", "removes a rule", (_RULE,), changes=True),
    Command("rule list", "the rules, oldest first", (_LIMIT,)),
    Command(
        "rule test",
        "whether a client may read or write a topic, and by which rule",
        (
            _USER,
            _CLIENT,
            Argument("action", Kind.TEXT, "read or write", choices=("read", "write")),
            Argument("topic", Kind.TEXT, "the topic"),
        ),
    ),
    Command(
        "drain",
        "sends the clients of this gateway to others; it stays in the mesh",
        (_FORCE_OUT,),
        description="Waits until no other gateway is out of service and another one has what this one "
        "has, then takes no more clients, and disconnects those that are here, 200 a second, without "
        "their wills. Clients of MQTT 5.0 are told where to go (0x9C with a server reference). Then it "
        "may be unplugged, and the others wait with theirs until it is back, for ten minutes at most. "
        "It lasts until gwctl undrain, or until gatewayd is started anew. Ctrl-C ends the waiting.",
        stream=True,
        changes=True,
    ),
    Command("undrain", "lets clients come in again", changes=True),
    Command(
        "reboot",
        "drains this gateway, and reboots its box",
        (_FORCE_OUT,),
        description="Does what gwctl drain does, and reboots the box then. Other gateways that are told "
        "to reboot wait until this one is back, for ten minutes at most.",
        stream=True,
        changes=True,
    ),
    Command(
        "forget",
        "a gateway that is gone for good is no member of the mesh any more",
        (
            Argument("gateway", Kind.TEXT, "its name or id"),
            Argument("force", Kind.SWITCH, "also one that is alive", False, True),
        ),
        description="Every gateway stops to dial it, to wait for it and to count it. Its store stays "
        "forgotten for ever: if its card comes back it is refused, and brings nothing that was deleted "
        "meanwhile. The same box with a new card, or after gwctl cluster rejoin on it, is a new member. "
        "A gateway that was dead for cluster.forget_after_days is forgotten by itself.",
        changes=True,
    ),
    Command(
        "cluster rejoin",
        "makes this gateway a new member, after it was forgotten",
        (Argument("force", Kind.SWITCH, "also if nobody says that it was", False, True),),
        description="For a gateway that the mesh has forgotten. Its daemon ends, sets all that is in "
        "its state directory aside in a folder left-1, left-2, ..., and begins anew with a new store. "
        "Users, rules and retained messages come from the mesh. Sessions and what waited in them stay "
        "in the folder.",
        changes=True,
    ),
    Command(
        "cluster key show",
        "the fingerprints of the cluster keys that hold, and who has the newest",
        description="Shows the fingerprints of the keys by which gateways know each other, the newest "
        "first, and which gateways have the newest on disk. A fingerprint gives nothing away.",
    ),
    Command(
        "cluster key rotate",
        "makes a new cluster key, which holds beside the old one",
        (Argument("key", Kind.SECRET, "ask for the key instead of making one", "", option=True),),
        description="Makes a new key and tells it to every gateway that is linked. It is shown once: "
        "write it down for the configuration of gateways that come new. Both keys hold until gwctl "
        "cluster key finish, and a gateway that is away comes in with the old one and is told the new "
        "one. So is a stolen gateway that can still reach the others: forget it first (gwctl forget).",
        changes=True,
    ),
    Command(
        "cluster key finish",
        "ends the old cluster key",
        (
            Argument(
                "force", Kind.SWITCH, "also while gateways do not have the new one", False, True
            ),
        ),
        description="Ends all keys but the newest. Links made with them are closed and made anew. A "
        "gateway that does not have the new key stays out from then on, until it is written into its "
        "configuration: so this is refused, with their names, while there are some.",
        changes=True,
    ),
)


def find(words: str) -> Command:
    """Raises ControlError for what is no command."""
    for command in COMMANDS:
        if command.words == words:
            return command
    names = ", ".join(command.words for command in COMMANDS if not command.here)
    raise ControlError("there is no such command", f"ask for one of {names}")


def checked(command: Command, given: Document) -> Document:
    """All arguments with their defaults. Raises ControlError for one that is missing or misfits."""
    known = {argument.name: argument for argument in command.arguments}
    for name in given:
        if name not in known:
            text = f"{command.words} takes no argument of the name {name[:40]!r}"
            raise ControlError(text, f"allowed: {', '.join(known) or 'none'}")
    return {name: _value(argument, given.get(name)) for name, argument in known.items()}


def _value(argument: Argument, value: object) -> object:
    if value is None:
        if argument.default is None:
            raise ControlError(f"{argument.name} is missing", f"give it: {argument.help}")
        return argument.default
    if argument.many:
        if not isinstance(value, list):
            raise ControlError(f"{argument.name} is not a list", "give a list of texts")
        return [_one(argument, each) for each in value]
    return _one(argument, value)


def _one(argument: Argument, value: object) -> object:
    match argument.kind:
        case Kind.SWITCH if isinstance(value, bool):
            return value
        case Kind.COUNT if isinstance(value, int) and not isinstance(value, bool):
            if not argument.low <= value <= argument.high:
                remedy = f"allowed: {argument.low} to {argument.high}"
                raise ControlError(f"{argument.name} is out of range", remedy)
            return value
        case Kind.TEXT | Kind.SECRET if isinstance(value, str):
            if len(value) > TEXT_CHARACTERS_MAX:
                remedy = f"allowed: at most {TEXT_CHARACTERS_MAX} characters"
                raise ControlError(f"{argument.name} is too long", remedy)
            if argument.choices and value not in argument.choices:
                remedy = f"allowed: {', '.join(argument.choices)}"
                raise ControlError(f"{argument.name} is none of the possible ones", remedy)
            return value
    raise ControlError(
        f"{argument.name} is not {argument.kind.value}", f"give {argument.kind.value}"
    )
