#!/bin/sh
# policy-rc.d [--quiet] NAME ACTION [RUNLEVEL]: invoke-rc.d asks here before it runs a script of /etc/init.d. 101 is no: services are for zinit.
# What package scripts want of a service that zinit has is done here, so that an upgrade of a package restarts what it must.
[ "$1" = --quiet ] && shift
name=$1
case $name in ssh) name=sshd ;; esac            # Debian's names that are others here
zinit get "$name" >/dev/null 2>&1 || exit 101
case $2 in                                      # in brackets where no link in /etc/rc5.d asks for it
restart | "(restart)" | force-reload) zinit restart "$name" --wait >&2 ;;
try-restart | "(try-restart)") zinit is-running "$name" >/dev/null && zinit restart "$name" --wait >&2 ;;
reload | rotate) zinit kill "$name" HUP >&2 ;;
esac
exit 101                                        # start and stop are for people
