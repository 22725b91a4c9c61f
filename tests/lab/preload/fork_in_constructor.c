// SPDX-License-Identifier: GPL-2.0
/*
 * Forks while dlopen() holds the dynamic linker's lock. The child ends by
 * exit(), which takes that lock.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int constructor_status = -1;

static void __attribute__((constructor)) fork_here(void)
{
	pid_t pid = fork();

	if (!pid)
		exit(dlopen("libm.so.6", RTLD_NOW) ? 7 : 8);
	waitpid(pid, &constructor_status, 0);
}
