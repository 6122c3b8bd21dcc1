# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# mnefs.bash - completion for bash: goes to /usr/share/bash-completion/completions/mnefs

_mnefs_checkpoints() {
	mnefs "$@" checkpoint list --json 2>/dev/null |
		sed -n 's/.*"name": *"\([^"\\]*\)".*/\1/p'
}

_mnefs_bookmarks() {
	mnefs "$@" checkpoint bookmarks --json 2>/dev/null |
		sed -n 's/.*"name": *"\([^"\\]*\)".*/\1/p'
}

_mnefs_tables() {
	local root
	root=$(mnefs "$@" status --json 2>/dev/null |
		sed -n 's/.*"mount": *"\([^"\\]*\)".*/\1/p')
	[[ $root ]] && (cd "$root" 2>/dev/null && printf '%s\n' */)
}

_mnefs() {
	local cur=$2 prev=$3 verb='' sub='' i
	local -a at=()
	local commands='mount umount init status df checkpoint ck table query changed diff history restore hold at rsync hook rollback counter tx watch check version help'
	local globals='-C --at --json -q --quiet -v --verbose --no-color -h --help -V --version
		--list-commands'
	local mount='ro rw create ctl=hidden ctl=visible ctl=off sync= sync=commit sync=off commit=
		cp= cplinks=on cplinks=off hash_modules= hooks= hook_timeout= history= full=fail full=drop tx_idle= tx_lock_timeout= tx_max= tx_mem= auto=hourly: auto=daily: auto=weekly: auto=monthly: io_uring=on io_uring=off allow_other debug noexec nosuid nodev noatime nodiratime'

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-C | --at)
			at=(-C "${COMP_WORDS[++i]}")
			;;
		-*) ;;
		*)
			if [[ -z $verb ]]; then
				verb=${COMP_WORDS[i]}
			elif [[ -z $sub ]]; then
				sub=${COMP_WORDS[i]}
			fi
			;;
		esac
	done

	local words=''
	case $prev in
	-C | --at)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	-o | --options)
		local head=''
		[[ $cur == *,* ]] && head=${cur%,*},
		mapfile -t COMPREPLY < <(compgen -P "$head" -W "$mount" -- "${cur##*,}")
		compopt -o nospace
		return
		;;
	-t | --table | --min | --max)
		mapfile -t COMPREPLY < <(compgen -W "$(_mnefs_tables "${at[@]}")" -- "$cur")
		return
		;;
	esac

	case $verb in
	'') words="$commands $globals -o --options -f --foreground -d --debug -s --single" ;;
	checkpoint | ck)
		case $sub in
		create)
			words="-t --table --refuse --wait --pin --note --expires --min --max --ram-overrides-dump
				--allow-remote $globals"
			;;
		drop) words="-n --dry-run -f --force $globals $(_mnefs_checkpoints "${at[@]}")" ;;
		show | rename | pin | unpin | verify) words="$globals $(_mnefs_checkpoints "${at[@]}")" ;;
		list | bookmarks) words=$globals ;;
		bookmark) words="-f --force $globals $(_mnefs_checkpoints "${at[@]}")" ;;
		unbookmark) words="$globals $(_mnefs_bookmarks "${at[@]}")" ;;
		prune)
			words="--keep-last --keep-hourly --keep-daily --keep-weekly --keep-monthly
				--keep-yearly -n --dry-run $globals"
			;;
		*) words='create list show drop pin unpin prune rename verify bookmark bookmarks unbookmark' ;;
		esac
		;;
	hook)
		case $sub in
		list | test | run) words=$globals ;;
		*) words='list test run' ;;
		esac
		;;
	rollback) words="-t --table -n --dry-run $globals $(_mnefs_checkpoints "${at[@]}")" ;;
	changed)
		words="-0 --null --deleted --existing $globals $(_mnefs_checkpoints "${at[@]}")"
		words+=" $(_mnefs_bookmarks "${at[@]}")"
		;;
	diff) words="--stat --exit-code $globals $(_mnefs_checkpoints "${at[@]}")" ;;
	history) words=$globals ;;
	restore)
		words="--from --to -n --dry-run $globals"
		[[ $prev == --from ]] && words=$(_mnefs_checkpoints "${at[@]}")
		;;
	hold | at) words="$globals -- @latest @yesterday $(_mnefs_checkpoints "${at[@]}")" ;;
	rsync) words="-j --jobs --since --verify $globals -- $(_mnefs_checkpoints "${at[@]}")" ;;
	counter) words="--signed $globals" ;;
	tx)
		words="--lock --lock-timeout --retries -n --dry-run --ask --sync --name --kind $globals --"
		[[ $prev == --kind ]] && words='transaction sync_transaction async_dirty sync_dirty'
		;;
	table)
		case $sub in
		create) words="--fragments --listing --hash --hash-arg --commit $globals" ;;
		fragments) words="-w --wait $globals $(_mnefs_tables "${at[@]}")" ;;
		show | set | drop) words="$globals $(_mnefs_tables "${at[@]}")" ;;
		list) words=$globals ;;
		*) words='create list show set drop fragments' ;;
		esac
		;;
	query) words="-n --name --from --before --limit --null $globals $(_mnefs_tables "${at[@]}")" ;;
	check) words="--repair --fast --hash-modules $globals" ;;
	watch) words="--since --detailed $globals" ;;
	help) words="$commands paths errors recipes" ;;
	init | umount | status | df | version) words=$globals ;;
	*) words="-o --options -f --foreground -d --debug -s --single $globals" ;;
	esac

	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	case $verb in
	'' | mount | umount | init | check | history | restore | diff | */*)
		[[ $cur == -* ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$cur")
		;;
	esac
}

complete -o filenames -F _mnefs mnefs
