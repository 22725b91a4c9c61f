/* SPDX-License-Identifier: GPL-2.0 */
/* The patched kernel's calls by number, and a check that ends the program. */
#ifndef FT_H
#define FT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static inline long ft_fork(void)
{
	return syscall(549);
}

static inline long ft_kill(pid_t pid, int sig)
{
	return syscall(550, pid, sig);
}

static inline long ft_wait(int *status)
{
	return syscall(551, status);
}

#define CHECK(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n",	\
			__FILE__, __LINE__, #condition, errno,		\
			strerror(errno));				\
		exit(1);						\
	}								\
} while (0)

#endif
