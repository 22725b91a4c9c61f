// SPDX-License-Identifier: GPL-2.0
/*
 * attempts: each call that sends signals, made to fail in each way and made with
 * signal 0, every case another prime number of times. Prints them with the results
 * that the calls gave.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "calls.h"

#define NOBODY	65534
#define NO_SIGNAL	65

static int calls;
static const char *comma = "";

static int next_prime(void)
{
	static int last = 2;
	int n;

	for (;;) {
		last++;
		for (n = 2; n * n <= last && last % n; n++)
			;
		if (n * n > last)
			return last;
	}
}

/* By all calls, to whom was aimed at. */
static void attempt(int sig, int error)
{
	int i, k, count;

	for (i = 0; i < calls; i++) {
		count = next_prime();
		for (k = 0; k < count; k++) {
			errno = 0;
			all_calls[i].send(sig);
			CHECK(errno == error);
		}
		printf("%s[\"%s\", %s, \"%s\", %d]", comma, all_calls[i].name,
		       sig ? "false" : "true", error ? strerrorname_np(error) : "ok", count);
		comma = ",\n";
	}
}

int main(void)
{
	pid_t gone = fork();

	CHECK(gone >= 0);
	if (!gone)
		_exit(0);
	calls = count_calls();
	printf("[");

	aim(getpid());
	attempt(NO_SIGNAL, EINVAL);
	attempt(0, 0);

	aim(gone);
	CHECK(waitpid(gone, NULL, 0) == gone);
	attempt(SIGTERM, ESRCH);
	attempt(0, ESRCH);

	aim(1);
	CHECK(!setuid(NOBODY));
	attempt(SIGTERM, EPERM);
	attempt(0, EPERM);
	printf("]\n");
	return 0;
}
