// SPDX-License-Identifier: GPL-2.0
/*
 * compat: the four calls by the entry of 32-bit programs (int $0x80), which a 64-bit
 * program may use too. Ends with 0 when they answer there as natively.
 */
#include <linux/pid_info.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ft.h"

static long int80(long number, long a, long b, long c, long d)
{
	long ret;

	asm volatile("int $0x80" : "=a"(ret)
		     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static int caught;

static void on_signal(int sig)
{
	caught = sig;
}

int main(void)
{
	struct pid_info native = { .wanted = PID_INFO_CREDS | PID_INFO_CMDLINE }, *info;
	char *buffer, cmdline[64];
	int *status, ret;
	long pid;

	/* Below 4 GB, where 32-bit pointers reach. */
	info = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(info != MAP_FAILED);
	status = (int *)(info + 1);
	buffer = (char *)(info + 1) + 64;

	info->wanted = native.wanted;
	info->buffer = (uintptr_t)buffer;
	native.buffer = (uintptr_t)cmdline;
	info->buffer_size = sizeof(cmdline);
	native.buffer_size = sizeof(cmdline);
	CHECK(!int80(548, getpid(), (uintptr_t)info, sizeof(*info), 0));
	CHECK(!syscall(548, getpid(), &native, sizeof(native), 0));
	CHECK(info->pid == getpid() && info->filled == native.filled && info->cmdline.size);
	CHECK(!memcmp(buffer, cmdline, native.cmdline.size));
	info->age_ns = native.age_ns;
	info->buffer = native.buffer;
	CHECK(!memcmp(info, &native, sizeof(native)));
	/* Negative, and so sign-extended from 32 bits. */
	CHECK(int80(548, -7, (uintptr_t)info, sizeof(*info), 0) == -EINVAL);

	pid = int80(549, 0, 0, 0, 0);
	CHECK(pid >= 0);
	if (!pid)
		_exit(97);
	CHECK(int80(551, (uintptr_t)status, 0, 0, 0) == pid && *status == 97 << 8);
	CHECK(int80(551, (uintptr_t)status, 0, 0, 0) == -ECHILD);

	signal(SIGUSR2, on_signal);
	CHECK(!int80(550, getpid(), SIGUSR2, 0, 0) && caught == SIGUSR2);
	ret = kill(-2147483647, 0) ? -errno : 0;
	CHECK(int80(550, -2147483647, 0, 0, 0) == ret && ret == -ESRCH);
	return 0;
}
