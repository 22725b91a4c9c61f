/* SPDX-License-Identifier: GPL-2.0 */
/* The calls that send a signal, each to one thread or process, and their si_code. */
#ifndef CALLS_H
#define CALLS_H

#include <signal.h>
#include <sys/syscall.h>

#include "ft.h"

/* Whom they send to; pidfd_send_signal() goes by a descriptor, which outlives the PID. */
static pid_t aimed_at;
static int pidfd = -1;

static void aim(pid_t pid)
{
	if (pidfd >= 0)
		close(pidfd);
	aimed_at = pid;
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	CHECK(pidfd >= 0);
}

static siginfo_t *queued(int sig)
{
	static siginfo_t info;

	info.si_signo = sig;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	return &info;
}

static long send_kill(int sig)
{
	return syscall(SYS_kill, aimed_at, sig);
}

static long send_tkill(int sig)
{
	return syscall(SYS_tkill, aimed_at, sig);
}

static long send_tgkill(int sig)
{
	return syscall(SYS_tgkill, aimed_at, aimed_at, sig);
}

static long send_sigqueue(int sig)
{
	return syscall(SYS_rt_sigqueueinfo, aimed_at, sig, queued(sig));
}

static long send_tgsigqueue(int sig)
{
	return syscall(SYS_rt_tgsigqueueinfo, aimed_at, aimed_at, sig, queued(sig));
}

static long send_pidfd(int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static long send_ft_kill(int sig)
{
	return ft_kill(aimed_at, sig);
}

static const struct call {
	const char *name;
	long (*send)(int sig);
	int code;
} all_calls[] = {
	{ "kill", send_kill, SI_USER },
	{ "tkill", send_tkill, SI_TKILL },
	{ "tgkill", send_tgkill, SI_TKILL },
	{ "rt_sigqueueinfo", send_sigqueue, SI_QUEUE },
	{ "rt_tgsigqueueinfo", send_tgsigqueue, SI_QUEUE },
	{ "pidfd_send_signal", send_pidfd, SI_USER },
	{ "ft_kill", send_ft_kill, SI_USER },
};

/* The last is there on a patched kernel alone. */
static int count_calls(void)
{
	int count = sizeof(all_calls) / sizeof(all_calls[0]);

	return syscall(548, 0, NULL, 0, 0) < 0 && errno == ENOSYS ? count - 1 : count;
}

#endif
