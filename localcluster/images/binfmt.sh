#!/bin/sh
# binfmt [--install all|NAME,...] [--uninstall NAME,...] : registers emulators, prints what runs here as JSON.
# NAME is an OCI architecture (arm64), QEMU's name (aarch64) or the entry's (qemu-aarch64).
set -u
registered=/proc/sys/fs/binfmt_misc
lines=/etc/binfmt

# OCI platform of QEMU's name; both directions by one table.
platforms='aarch64=arm64 arm=arm ppc64le=ppc64le riscv64=riscv64 s390x=s390x'
qemu_name() {
	name=${1#linux/}
	name=${name#qemu-}
	name=${name%%/*}
	for pair in $platforms; do
		[ "$name" = "${pair#*=}" ] && name=${pair%%=*} && break
	done
	echo "$name"
}
platform() {
	for pair in $platforms; do
		[ "$1" = "${pair%%=*}" ] && echo "linux/${pair#*=}" && return
	done
	echo "linux/$1"
}
fail() {
	echo "error: $*" >&2
	exit 1
}
install_one() {
	name=$(qemu_name "$1")
	if [ ! -e "$lines/qemu-$name" ]; then
		echo "installing: $1 error: no emulator for it in this image" >&2
		return 1
	fi
	if [ -e "$registered/qemu-$name" ]; then
		echo "installing: $1 qemu-$name already registered" >&2
	elif cat "$lines/qemu-$name" >"$registered/register" || [ -e "$registered/qemu-$name" ]; then
		# The latter when another installer was faster.
		echo "installing: $1 OK" >&2
	else
		return 1
	fi
}
uninstall_one() {
	name=$(qemu_name "$1")
	# A pattern is meant as one: qemu-*.
	for entry in "$registered"/qemu-$name; do
		[ -e "$entry" ] || { echo "uninstalling: $1 not found" >&2; return 0; }
		echo -1 >"$entry" && echo "uninstalling: ${entry##*/} OK" >&2 || return 1
	done
}
quoted() {
	separator=
	for word; do
		printf '%s\n    "%s"' "$separator" "$word"
		separator=,
	done
	echo
}
report() {
	supported=linux/amd64
	emulators=
	for entry in "$registered"/*; do
		name=${entry##*/}
		case $name in register | status) continue ;; esac
		emulators="$emulators $name"
		case $name in qemu-*) supported="$supported $(platform "${name#qemu-}")" ;; esac
	done
	printf '{\n  "supported": ['
	quoted $supported
	printf '  ],\n  "emulators": ['
	quoted $emulators
	printf '  ]\n}\n'
}

[ -e "$registered/register" ] || mount -t binfmt_misc binfmt_misc "$registered" ||
	fail "cannot mount binfmt_misc on $registered: run this container privileged"
status=0
while [ $# -gt 0 ]; do
	option=${1%%=*}
	case $1 in
	*=*) value=${1#*=} && shift ;;
	*) [ $# -gt 1 ] || fail "$1 needs a value" && value=$2 && shift 2 ;;
	esac
	[ "$value" = all ] && value=$(cd $lines && echo qemu-*)
	for one in $(echo "$value" | tr , ' '); do
		case $option in
		--install | -install) install_one "$one" || status=1 ;;
		--uninstall | -uninstall) uninstall_one "$one" || status=1 ;;
		*) fail "unknown option $option; there are --install and --uninstall" ;;
		esac
	done
done
report
exit $status
