"""`gwctl completion`: what bash or zsh needs to complete a line of gwctl, as a script.

The words are in the script, so that pressing Tab starts no program. Names of clients and topics are
not completed. Must not know what a command does.
"""

import argparse
import json

from gateway.ctl.exits import DONE
from gateway.ctl.outline import Outline, outlines
from gateway.ctl.parser import arguments_of

_FILES = ("PATH", "CONFIG")  # values that are names of files

_BASH = """\
# Completion for gwctl, made by: gwctl completion SHELL
_gwctl() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
    local typed="" each skip="" index known=""
    for ((index = 1; index < COMP_CWORD; index++)); do
        each="${{COMP_WORDS[index]}}"
        if [[ -n $skip ]]; then
            skip=""
            continue
        fi
        case "$each" in
            {valued}) skip=yes ;;
            -*) ;;
            *) typed="$typed $each" ;;
        esac
    done
    case "$before" in
        {files})
            COMPREPLY=($(compgen -f -- "$word"))
            return ;;
        {valued})
            return ;;
    esac
    case "$typed " in
{cases}
    esac
    COMPREPLY=($(compgen -W "$known" -- "$word"))
}}
complete -F _gwctl gwctl
"""
# Sourced, or found by zsh itself as a file _gwctl in its fpath, which is then run at the first Tab.
_ZSH_HEAD = """\
#compdef gwctl
(( $+functions[compdef] )) || { autoload -U +X compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
"""
_ZSH_TAIL = """\
if [[ $funcstack[1] == _gwctl ]]; then _bash_complete -F _gwctl; fi
"""


def run(options: argparse.Namespace) -> int:
    """Prints the script."""
    shell = arguments_of(options)["shell"]
    text = script(shell)
    if options.json:
        text = json.dumps({"shell": shell, "script": text}, indent=2) + "\n"
    print(text, end="", flush=True)
    return DONE


def script(shell: str) -> str:
    """For "bash" or "zsh", which is taught to take bash's."""
    found = list(outlines())
    words = [word for outline in found for word in outline.arguments if word.names and word.value]
    valued = {name for word in words if word.needed for name in word.names}
    files = {name for word in words if word.value in _FILES for name in word.names}
    body = _BASH.format(
        valued="|".join(sorted(valued)), files="|".join(sorted(files)), cases=_cases(found)
    )
    return _ZSH_HEAD + body + _ZSH_TAIL if shell == "zsh" else body


def _cases(found: list[Outline]) -> str:
    """What may come behind the words that were typed; the longest words first."""
    known = {outline.words: _known(outline) for outline in found}
    for outline in found:
        above, _, word = outline.words.rpartition(" ")
        while word:
            behind = known.setdefault(above, [])
            if word not in behind:
                behind.append(word)
            above, _, word = above.rpartition(" ")
    lines = []
    for words in sorted(known, key=lambda words: (-words.count(" "), -len(words), words)):
        pattern = f'" {words} "*' if words else '" "'
        lines.append(f'        {pattern}) known="{" ".join(known[words])}" ;;')
    return "\n".join(lines)


def _known(outline: Outline) -> list[str]:
    options = [name for word in outline.arguments for name in word.names]
    return [*options, *(choice for word in outline.arguments for choice in word.choices)]
