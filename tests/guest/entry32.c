// SPDX-License-Identifier: GPL-2.0
/*
 * entry32: the calls that send signals by the entry of 32-bit programs (int $0x80),
 * which a 64-bit program may use too: made to fail and made with signal 0, each
 * another prime number of times. Prints them with the results that the calls gave.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ft.h"

#define NO_SIGNAL	65

static long int80(long number, long a, long b, long c, long d)
{
	long ret;

	asm volatile("int $0x80" : "=a"(ret)
		     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* As 32-bit programs have it. */
static struct {
	int signo, error, code, rest[29];
} info = { .code = SI_QUEUE };

static pid_t aimed_at;
static int pidfd;

static long info_at(int sig)
{
	CHECK((uintptr_t)&info < UINT32_MAX);	/* a program that is static is down there */
	info.signo = sig;
	return (uintptr_t)&info;
}

static long send_kill(int sig)
{
	return int80(37, aimed_at, sig, 0, 0);
}

static long send_tkill(int sig)
{
	return int80(238, aimed_at, sig, 0, 0);
}

static long send_tgkill(int sig)
{
	return int80(270, aimed_at, aimed_at, sig, 0);
}

static long send_sigqueue(int sig)
{
	return int80(178, aimed_at, sig, info_at(sig), 0);
}

static long send_tgsigqueue(int sig)
{
	return int80(335, aimed_at, aimed_at, sig, info_at(sig));
}

static long send_pidfd(int sig)
{
	return int80(424, pidfd, sig, 0, 0);
}

static const struct {
	const char *name;
	long (*send)(int sig);
} calls[] = {
	{ "kill", send_kill }, { "tkill", send_tkill }, { "tgkill", send_tgkill },
	{ "rt_sigqueueinfo", send_sigqueue }, { "rt_tgsigqueueinfo", send_tgsigqueue },
	{ "pidfd_send_signal", send_pidfd },
};
#define CALLS	(int)(sizeof(calls) / sizeof(calls[0]))

static const int primes[] = { 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67 };
static const char *comma = "";

static void attempt(int round, int sig, int error)
{
	int i, k, count;

	for (i = 0; i < CALLS; i++) {
		count = primes[round * CALLS + i];
		for (k = 0; k < count; k++)
			CHECK(calls[i].send(sig) == -error);
		printf("%s[\"%s\", %s, \"%s\", %d]", comma, calls[i].name, sig ? "false" : "true",
		       error ? strerrorname_np(error) : "ok", count);
		comma = ",\n";
	}
}

int main(void)
{
	pid_t gone = fork();

	CHECK(gone >= 0);
	if (!gone)
		_exit(0);
	printf("[");
	aimed_at = getpid();
	pidfd = syscall(SYS_pidfd_open, aimed_at, 0);
	attempt(0, NO_SIGNAL, EINVAL);
	attempt(1, 0, 0);
	aimed_at = gone;
	pidfd = syscall(SYS_pidfd_open, gone, 0);
	CHECK(waitpid(gone, NULL, 0) == gone);
	attempt(2, SIGTERM, ESRCH);
	printf("]\n");
	return 0;
}
