# bash completion for qloft. Commands and options are read from --help, so this file names none.

_qloft() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  local IFS=$'\n'
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "$(qloft --help 2>/dev/null | sed -n '/ommands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')" -- "$word"))
    return
  fi
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$(qloft "$command" --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u)" -- "$word"))
    return
  fi
  # An option that takes one of a few names shows them as "a|b|c".
  if [[ $before == --* ]]; then
    local choices
    choices=$(qloft "$command" --help 2>/dev/null | grep -oE -- "$before [a-z0-9|-]*\|[a-z0-9|-]*" | head -n 1)
    if [ -n "$choices" ]; then
      choices=${choices##* }
      COMPREPLY=($(compgen -W "${choices//|/$'\n'}" -- "$word"))
      return
    fi
  fi
  COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _qloft qloft
