# Completion for gwctl, made by: gwctl completion SHELL
_gwctl() {
    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    local typed="" each skip="" index known=""
    for ((index = 1; index < COMP_CWORD; index++)); do
        each="${COMP_WORDS[index]}"
        if [[ -n $skip ]]; then
            skip=""
            continue
        fi
        case "$each" in
            --client|--config|--count|--groups|--host|--limit|--lines|--seconds|--socket|-n) skip=yes ;;
            -*) ;;
            *) typed="$typed $each" ;;
        esac
    done
    case "$before" in
        --config|--socket)
            COMPREPLY=($(compgen -f -- "$word"))
            return ;;
        --client|--config|--count|--groups|--host|--limit|--lines|--seconds|--socket|-n)
            return ;;
    esac
    case "$typed " in
        " cluster key finish "*) known="-h --help --force --json --socket" ;;
        " cluster key rotate "*) known="-h --help --key --json --socket" ;;
        " cluster key show "*) known="-h --help --json --socket" ;;
        " cluster rejoin "*) known="-h --help --force --json --socket" ;;
        " cluster key "*) known="show rotate finish" ;;
        " rule remove "*) known="-h --help --json --socket" ;;
        " user passwd "*) known="-h --help --json --socket" ;;
        " user remove "*) known="-h --help --json --socket" ;;
        " rule list "*) known="-h --help --limit --json --socket" ;;
        " rule test "*) known="-h --help --json --socket read write" ;;
        " user list "*) known="-h --help --limit --json --socket" ;;
        " rule add "*) known="-h --help --json --socket" ;;
        " user add "*) known="-h --help --groups --json --socket" ;;
        " completion "*) known="-h --help --json bash zsh" ;;
        " retained "*) known="-h --help --limit --json --socket" ;;
        " sessions "*) known="-h --help --orphans --limit --json --socket" ;;
        " clients "*) known="-h --help --limit --json --socket" ;;
        " cluster "*) known="rejoin key" ;;
        " undrain "*) known="-h --help --json --socket" ;;
        " client "*) known="-h --help --limit --json --socket" ;;
        " config "*) known="-h --help --json --socket" ;;
        " doctor "*) known="-h --help --config --json" ;;
        " forget "*) known="-h --help --force --json --socket" ;;
        " reboot "*) known="-h --help --force --json --socket" ;;
        " status "*) known="-h --help --json --watch --socket" ;;
        " drain "*) known="-h --help --force --json --socket" ;;
        " queue "*) known="-h --help --limit --json --socket" ;;
        " trace "*) known="-h --help --client -n --count --seconds --no-payload --json --socket" ;;
        " kick "*) known="-h --help --json --socket" ;;
        " rule "*) known="add remove list test" ;;
        " user "*) known="add passwd remove list" ;;
        " log "*) known="-h --help -n --lines -f --follow --json --socket" ;;
        " ") known="-h --help --version --host status clients client sessions retained queue kick trace log config doctor completion user rule drain undrain reboot forget cluster" ;;
    esac
    COMPREPLY=($(compgen -W "$known" -- "$word"))
}
complete -F _gwctl gwctl
