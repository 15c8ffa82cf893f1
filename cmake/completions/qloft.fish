# fish completion for qloft. Commands and options are read from --help, so this file names none.

function __qloft_commands
    qloft --help 2>/dev/null | sed -n '/ommands:/,/^$/s/^  \([a-z][a-z-]*\)  *\(.*\)/\1\t\2/p'
end
function __qloft_options
    set -l command (commandline -opc)[2]
    qloft $command --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u
end
complete -c qloft -n __fish_use_subcommand -f -a '(__qloft_commands)'
complete -c qloft -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__qloft_options)'
