// SPDX-License-Identifier: Apache-2.0
/*
 * The first process of a machine that has nothing but an initramfs: runs the programs of
 * /selftests, one after the other, tells on the console what they printed and how they
 * ended, and switches the machine off. off_test is the last: after it there are no ft_*.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		reboot(RB_POWER_OFF);
	}
}

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int last_off(const struct dirent **a, const struct dirent **b)
{
	int off = !strcmp((*a)->d_name, "off_test") - !strcmp((*b)->d_name, "off_test");

	return off ? off : strcmp((*a)->d_name, (*b)->d_name);
}

static void run(const char *name)
{
	char path[300];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/selftests/%s", name);
	printf("== start %s\n", name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setsid();
		execl(path, name, NULL);
		perror(path);
		_exit(127);
	}
	/* Whoever loses its parent is the first process's. */
	while (wait(&status) != pid)
		;
	printf("== status %d\n", status);
	fflush(stdout);
}

int main(void)
{
	struct dirent **programs;
	int i, count;

	must(!mount("proc", "/proc", "proc", 0, NULL), "/proc");
	must(!mount("sysfs", "/sys", "sysfs", 0, NULL), "/sys");
	must(!mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "/tmp");
	must(!mkdir("/var/tmp", 01777) && !chdir("/root"), "/root");
	must(dup2(1, 2) == 2, "stderr");
	count = scandir("/selftests", &programs, is_program, last_off);
	must(count > 0, "/selftests");
	for (i = 0; i < count; i++)
		run(programs[i]->d_name);
	printf("== end\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 1;
}
