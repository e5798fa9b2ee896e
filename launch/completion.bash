# bash completion of trireme. Load it with:  source <(trireme completion bash)
# Commands, options and keys are asked of the program itself, once per shell, so that they are those of its version.
declare -gA _trireme_known=()

_trireme_ask() { # NAME COMMAND...: the words that COMMAND prints, remembered under NAME, in $REPLY
  local name=$1; shift
  [[ -v _trireme_known[$name] ]] || _trireme_known[$name]=$("$@" 2>/dev/null)
  REPLY=${_trireme_known[$name]}
}
_trireme_commands() { "$1" --help | sed -nE '/^(Options|Examples|Exit status):/q; s/^  ([a-z][a-z-]*) .*/\1/p'; }
_trireme_options() { "$1" help "$2" | sed -nE 's/^  (-[a-z], )?(--[a-z-]+).*/\2/p'; }
_trireme_keys() { "$1" explain-config --keys | sed -nE 's/^([a-z0-9_.]+) .*/\1=/p'; }

_trireme() {
  local program=$1 current=$2 previous=$3 command=${COMP_WORDS[1]} REPLY
  COMPREPLY=()
  if ((COMP_CWORD == 1)) || [[ $command == help && $COMP_CWORD == 2 ]]; then
    _trireme_ask commands _trireme_commands "$program"
  elif [[ $previous == --set ]]; then
    _trireme_ask keys _trireme_keys "$program"
    compopt -o nospace
  elif [[ $current == -* ]]; then
    _trireme_ask "options-$command" _trireme_options "$program" "$command"
  elif [[ $command == checkpoint && $COMP_CWORD == 2 ]]; then
    REPLY='list verify diff'
  elif [[ $command == completion ]]; then
    REPLY=bash
  else
    return # files, by `-o default`
  fi
  mapfile -t COMPREPLY < <(compgen -W "$REPLY" -- "$current")
}
complete -o default -F _trireme trireme
